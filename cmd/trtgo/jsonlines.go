package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"
)

// maxLine bounds one line of JSON input.
const maxLine = 64 << 20

// eachLine calls f with every line of r that is not blank, and its number from 1.
// An error of f ends the reading and names the line.
func eachLine(r io.Reader, f func(line []byte) error) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	for scanner.Scan() {
		n++
		line := bytes.TrimSpace(scanner.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}

// printJSON writes v as one line, without escaping HTML's characters.
func printJSON(c *cli.Context, v any) error {
	encoder := json.NewEncoder(c.App.Writer)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
