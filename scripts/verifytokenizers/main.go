// Command verifytokenizers compares package tokenizer with the official libraries on real
// tokenizers: ids of a large generated corpus in every way of encoding, decodings of those and of
// random ids, and decodings in chunks. With the argument speed it measures both instead. What it
// found goes into docs/tokenizers.md; a difference ends it with status 1.
//
//	TOKENIZERS_DIR      what scripts/fetch_tokenizers.sh made; default out/tokenizers
//	TOKENIZERS_PYTHON   a Python with the libraries; default venv/bin/python there
//	TOKENIZERS_MB       size of the corpus for each tokenizer; default 10
//	TOKENIZERS_SEED     of the corpus; default 1. Another seed is another corpus
//	TOKENIZERS_FUZZ     go on with new seeds for so long, over all tokenizers by turns; default 1ms, that is not
//	TOKENIZERS_ONLY     names of tokenizers, with commas between them; default all
//	TOKENIZERS_ROUNDS   rounds of a measurement; default 5
//	BENCH_OUTPUT        the document; default docs/tokenizers.md
package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/scripts/internal/benchrun"
	"github.com/trtgo/trtgo/scripts/internal/reference"
)

// settings are what the arguments and the environment say.
type settings struct {
	speed               bool
	dir, python, output string
	bytes               int
	seed                uint64
	fuzz                time.Duration
	rounds              int
	subjects            []subject
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "verifytokenizers:", err)
		os.Exit(1)
	}
}

func run() error {
	s, err := read(os.Args[1:], os.Getenv)
	if err != nil {
		return err
	}
	if s.speed {
		return s.measure()
	}
	return s.verify()
}

// read reads the settings.
func read(args []string, getenv func(string) string) (settings, error) {
	e := benchrun.Environment{Getenv: getenv, Prefix: "TOKENIZERS_"}
	s := settings{
		speed: slices.Equal(args, []string{"speed"}), dir: e.Text("DIR", "out/tokenizers"), bytes: int(e.Number("MB", 10)) << 20,
		seed: uint64(e.Number("SEED", 1)), fuzz: e.Duration("FUZZ", time.Millisecond), rounds: int(e.Number("ROUNDS", 5)), output: "docs/tokenizers.md",
	}
	if len(args) > 0 && !s.speed {
		e.Fail(fmt.Errorf("the argument is speed, or there is none, not %q", args))
	}
	s.python = e.Text("PYTHON", filepath.Join(s.dir, "venv", "bin", "python"))
	if path := getenv("BENCH_OUTPUT"); path != "" {
		s.output = path
	}
	s.subjects = subjects()
	if only := e.Text("ONLY", ""); only != "" {
		names := strings.Split(only, ",")
		s.subjects = slices.DeleteFunc(s.subjects, func(x subject) bool { return !slices.Contains(names, x.name) })
		if len(s.subjects) != len(names) {
			e.Fail(fmt.Errorf("TOKENIZERS_ONLY=%s names a tokenizer that is not in the list", only))
		}
	}
	return s, e.Err()
}

// start loads a tokenizer on both sides.
func (s settings) start(x subject, seed uint64) (*comparison, *corpus, error) {
	own, err := x.open(s.dir)
	if err != nil {
		return nil, nil, err
	}
	real, err := sources()
	if err != nil {
		return nil, nil, err
	}
	args, err := x.arguments(s.dir, own)
	if err != nil {
		return nil, nil, err
	}
	library, err := reference.Start(s.python, args...)
	if err != nil {
		return nil, nil, err
	}
	c := &comparison{subject: x, own: own, library: library, random: rand.New(rand.NewPCG(seed, 2))}
	return c, newCorpus(seed, real, specials(own)), nil
}

// verify compares every tokenizer, and then goes on for the time of the fuzzing.
func (s settings) verify() error {
	var rows []string
	var failed error
	each := func(seed uint64, bytes int) error {
		for _, x := range s.subjects {
			c, made, err := s.start(x, seed)
			if err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			err = c.run(made, bytes)
			if err := errors.Join(err, c.library.Close()); err != nil {
				return fmt.Errorf("%s: %w", x.name, err)
			}
			fmt.Println(c.row())
			for _, d := range c.differences[:min(len(c.differences), maxDifferences)] {
				fmt.Println("   ", d)
			}
			if len(c.differences) > 0 {
				failed = errors.Join(failed, fmt.Errorf("%s: %d differences, seed %d", x.name, len(c.differences), seed))
			}
			if seed == s.seed {
				rows = append(rows, c.row())
			}
		}
		return nil
	}
	if err := each(s.seed, s.bytes); err != nil {
		return err
	}
	fuzzed := 0
	for end := time.Now().Add(s.fuzz); s.fuzz >= time.Second && time.Now().Before(end); fuzzed++ {
		if err := each(s.seed+1+uint64(fuzzed), 1<<20); err != nil {
			return errors.Join(failed, err)
		}
	}
	if failed == nil && len(s.subjects) == len(subjects()) {
		failed = benchdoc.Update(s.output, "verify-tokenizers", s.section(rows, fuzzed))
	}
	return failed
}

// run compares a corpus of so many bytes.
func (c *comparison) run(made *corpus, bytes int) error {
	for done := 0; done < bytes; {
		n := min(bytes-done, 1<<20)
		if err := c.batch(made.texts(n)); err != nil {
			return err
		}
		done += n
	}
	return nil
}

func (c *comparison) row() string {
	return fmt.Sprintf("| %s | %s | %s | %d | %.1f | %.1f | %d | %d |", c.subject.name, c.subject.source, c.library.Version,
		c.texts, float64(c.bytes)/1e6, float64(c.ids)/1e6, c.decodings, len(c.differences))
}

// section is what the document tells.
func (s settings) section(rows []string, fuzzed int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "`make verify-tokenizers`, %s, seed %d.", time.Now().Format(time.DateOnly), s.seed)
	if fuzzed > 0 {
		fmt.Fprintf(&b, " After these, %d further corpora of 1 MB for each, of other seeds (%s): no difference.", fuzzed, s.fuzz)
	}
	b.WriteString("\n\n| tokenizer | from | library | texts | MB | million ids | decodings | differences |\n|---|---|---|---|---|---|---|---|\n")
	b.WriteString(strings.Join(rows, "\n") + "\n")
	return b.String()
}
