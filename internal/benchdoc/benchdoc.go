// Package benchdoc keeps the sections of docs/benchmarks.md that commands measure,
// and what all of them say about a number and a machine.
package benchdoc

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// Spread is the least, the median and the greatest of some numbers.
type Spread struct {
	Least  float64 `json:"min"`
	Median float64 `json:"median"`
	Most   float64 `json:"max"`
}

// SpreadOf needs at least one number.
func SpreadOf(values []float64) Spread {
	list := slices.Sorted(slices.Values(values))
	n := len(list)
	return Spread{list[0], (list[(n-1)/2] + list[n/2]) / 2, list[n-1]}
}

// Text writes the three with a format for each, such as "%.1f".
func (s Spread) Text(format string) string {
	return fmt.Sprintf(format+" / "+format+" / "+format, s.Least, s.Median, s.Most)
}

// Range writes the median, and the other two behind it: "2.5 (1.0 – 4.0)".
func (s Spread) Range(format string) string {
	return fmt.Sprintf(format+" ("+format+" – "+format+")", s.Median, s.Least, s.Most)
}

// Ratios is the spread of a[i] / b[i].
func Ratios(a, b []float64) Spread {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return SpreadOf(list)
}

// Verdict tells whether a figure reaches an aim, both as a table prints them: in hundredths.
func Verdict(figure, aim float64) string {
	if math.Round(100*figure) >= math.Round(100*aim) {
		return "reached"
	}
	return "**missed**"
}

// Machine names what the numbers depend on.
func Machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); m != nil {
		model = strings.TrimSpace(string(m[1]))
	}
	return fmt.Sprintf("%d cores of %s", runtime.NumCPU(), model)
}

// Extensions names those of the processor's instruction set that matter to the speed of
// matrix products; "" where /proc/cpuinfo does not tell.
func Extensions() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	return strings.Join(extensions(string(text)), ", ")
}

func extensions(cpuinfo string) []string {
	_, rest, _ := strings.Cut(cpuinfo, "\nflags")
	line, _, _ := strings.Cut(rest, "\n")
	has := strings.Fields(line)
	var names []string
	for _, e := range [][2]string{{"avx2", "AVX2"}, {"avx512f", "AVX-512"}, {"avx512_vnni", "AVX-512-VNNI"}, {"avx512_bf16", "AVX-512-BF16"}, {"avx_vnni", "AVX-VNNI"}, {"amx_tile", "AMX"}} {
		if slices.Contains(has, e[0]) {
			names = append(names, e[1])
		}
	}
	return names
}

// Update puts a section between its marks in the document at path, at the end where
// it is new. A document that does not exist is begun.
func Update(path, name, section string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(replaced(string(text), name, section)), 0o644)
}

// replaced gives the document with the section between its marks.
func replaced(text, name, section string) string {
	begin, end := fmt.Sprintf("<!-- %s -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
	block := begin + "\n" + section + "\n" + end
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	switch {
	case found && ended:
		return before + block + after
	case text == "":
		return "# Benchmarks\n\n" + block
	}
	return strings.TrimRight(text, "\n") + "\n\n" + block
}
