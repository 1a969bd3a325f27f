package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// summary is what was copied and what not.
type summary struct {
	largest []sizedFile // the largest first
	bytes   int64
	absent  []entry         // open and tree entries that match nothing
	leftOut map[string]bool // libraries that the driver or the base has

	unusable []string // what libraries that are not necessary lack
}

type sizedFile struct {
	name  string
	bytes int64
}

func (c *collection) finish() {
	for name, bytes := range c.copied {
		c.largest = append(c.largest, sizedFile{name, bytes})
		c.bytes += bytes
	}
	slices.SortFunc(c.largest, func(a, b sizedFile) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), strings.Compare(a.name, b.name))
	})
}

func (s *summary) print(w io.Writer) {
	for _, f := range s.largest {
		fmt.Fprintf(w, "%14d  %s\n", f.bytes, f.name)
	}
	fmt.Fprintf(w, "%14d  bytes in %d files\n", s.bytes, len(s.largest))
	for _, e := range s.absent {
		fmt.Fprintf(w, "not there: %s (%s)\n", e.pattern, e.reason)
	}
	for _, text := range s.unusable {
		fmt.Fprintf(w, "missing, and passed over: %s\n", text)
	}
	if len(s.leftOut) > 0 {
		fmt.Fprintf(w, "left to the driver and the base: %s\n", strings.Join(slices.Sorted(maps.Keys(s.leftOut)), ", "))
	}
}
