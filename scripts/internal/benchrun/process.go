package benchrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Output runs a command in the current directory and gives what it writes to stdout. All
// that it writes is in the file log, which an error names.
func Output(ctx context.Context, log, name string, args ...string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	var stdout bytes.Buffer
	c.Stdout, c.Stderr = io.MultiWriter(&stdout, file), file
	fmt.Fprintln(file, "+", c)
	err = errors.Join(c.Run(), file.Close())
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%s: %w; its log is %s, which ends with %q", filepath.Base(name), err, log, lastLine(log))
	}
	return stdout.Bytes(), nil
}

// Run is Output of a command whose output is of interest only when it fails.
func Run(ctx context.Context, log, name string, args ...string) error {
	_, err := Output(ctx, log, name, args...)
	return err
}

// Need is an error where one of these programs is not installed.
func Need(why string, programs ...string) error {
	var absent []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			absent = append(absent, p)
		}
	}
	if absent != nil {
		return fmt.Errorf("%s needs %s; please install it", why, strings.Join(absent, " and "))
	}
	return nil
}

func lastLine(path string) string {
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
