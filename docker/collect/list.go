package main

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// entry is a line of the list.
type entry struct {
	kind, pattern, reason string
	line                  int
}

// Kinds of entries.
const (
	kindNeed   = "need"
	kindOpen   = "open"
	kindFile   = "file"
	kindTree   = "tree"
	kindDriver = "driver"
	kindBase   = "base"
)

// readList reads a list, whose lines must each have a reason: a file that nobody knows why it is there stays for ever.
func readList(name string) ([]entry, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var entries []entry
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text, reason, _ := strings.Cut(lines.Text(), "#")
		fields, reason := strings.Fields(text), strings.TrimSpace(reason)
		if len(fields) == 0 {
			continue
		}
		kinds := []string{kindNeed, kindOpen, kindFile, kindTree, kindDriver, kindBase}
		switch {
		case !slices.Contains(kinds, fields[0]):
			return nil, fmt.Errorf("%s:%d: there is no kind %q, want one of %s", name, n, fields[0], strings.Join(kinds, ", "))
		case len(fields) != 2:
			return nil, fmt.Errorf("%s:%d: want a kind and one path, found %d words", name, n, len(fields))
		case reason == "":
			return nil, fmt.Errorf("%s:%d: %s has no reason: write one after #", name, n, fields[1])
		}
		want, ok := "an absolute path or pattern", strings.HasPrefix(fields[1], "/")
		if fields[0] == kindDriver || fields[0] == kindBase {
			want, ok = "the name of a library", !strings.Contains(fields[1], "/")
		}
		if _, err := path.Match(fields[1], ""); err != nil || !ok {
			return nil, fmt.Errorf("%s:%d: %q must be %s", name, n, fields[1], want)
		}
		entries = append(entries, entry{fields[0], fields[1], reason, n})
	}
	return entries, lines.Err()
}
