// Package benchdoc keeps the sections of docs/benchmarks.md that commands measure,
// and what all of them say about a number and a machine.
package benchdoc

import (
	"errors"
	"fmt"
	"io/fs"
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

// Machine names what the numbers depend on.
func Machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown processor"
	if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); m != nil {
		model = strings.TrimSpace(string(m[1]))
	}
	return fmt.Sprintf("%d cores of %s", runtime.NumCPU(), model)
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
