// Package benchrun is what the commands that measure have in common: settings from the
// environment, processes that leave a log, and engines of the CPU backend with what
// `trtgo bench` says of them.
package benchrun

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Environment reads settings from variables whose names begin with Prefix, and keeps
// what is wrong with them for Err.
type Environment struct {
	Getenv func(string) string
	Prefix string
	failed error
}

// Text is a variable's value, or the standard one where it is empty.
func (e *Environment) Text(name, standard string) string {
	if v := e.Getenv(e.Prefix + name); v != "" {
		return v
	}
	return standard
}

// Number is a positive one.
func (e *Environment) Number(name string, standard int64) int64 {
	text := e.Text(name, strconv.FormatInt(standard, 10))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		e.Fail(fmt.Errorf("%s%s=%s is not a positive number", e.Prefix, name, text))
	}
	return n
}

// Numbers are positive ones with commas between them.
func (e *Environment) Numbers(name, standard string) []int {
	text := e.Text(name, standard)
	var list []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			e.Fail(fmt.Errorf("%s%s=%s: %q is not a positive number", e.Prefix, name, text, field))
		}
		list = append(list, n)
	}
	return list
}

// Duration is a positive one, such as 2s.
func (e *Environment) Duration(name string, standard time.Duration) time.Duration {
	text := e.Text(name, standard.String())
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		e.Fail(fmt.Errorf("%s%s=%s is not a positive duration such as 2s", e.Prefix, name, text))
	}
	return d
}

// Fail adds what a caller found wrong.
func (e *Environment) Fail(err error) { e.failed = errors.Join(e.failed, err) }

// Err is everything that was wrong.
func (e *Environment) Err() error { return e.failed }
