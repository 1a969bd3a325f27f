//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a copy and a conversion of the same source, one after the other.
type pair struct {
	copying, converting time.Duration
	anon, file          int64 // the conversion's peaks in bytes
}

// ratio is the conversion's speed over the copy's.
func (p pair) ratio() float64 { return p.copying.Seconds() / p.converting.Seconds() }

// pair runs both, in either order, each with the source out of the page cache.
// check looks at the conversion's output before that is removed.
func (s settings) pair(ctx context.Context, source, out string, copyFirst bool, check func() error) (pair, error) {
	var p pair
	steps := []func() error{
		func() (err error) {
			p.copying, err = timed(source, out, func() error {
				return command(ctx, "cp", "-r", "--reflink=never", "--sparse=never", source, out).Run()
			})
			return err
		},
		func() (err error) {
			p.converting, err = timed(source, out, func() error {
				c := command(ctx, s.trtgo, s.stage.arguments(source, out)...)
				p.anon, p.file, err = sampled(c)
				return err
			})
			if err == nil {
				err = check()
			}
			return err
		},
	}
	if !copyFirst {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := errors.Join(step(), os.RemoveAll(out)); err != nil {
			return p, err
		}
	}
	return p, nil
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = os.Stderr
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	return c
}

// timed evicts the source and takes the time of a run, the flushing of what it
// wrote included.
func timed(source, out string, run func() error) (time.Duration, error) {
	if err := evict(source); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := run(); err != nil {
		return 0, err
	}
	_, err := flush(out)
	return time.Since(start), err
}

// sampled runs a command and samples its memory every 50 ms: what it allocated,
// and what it mapped of files.
func sampled(c *exec.Cmd) (anon, file int64, err error) {
	if err := c.Start(); err != nil {
		return 0, 0, err
	}
	status := fmt.Sprintf("/proc/%d/status", c.Process.Pid)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			text, _ := os.ReadFile(status) // it is gone when the command is
			anon, file = max(anon, field(text, "RssAnon")), max(file, field(text, "RssFile"))
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	err = c.Wait()
	close(done)
	<-stopped
	return anon, file, err
}

// field reads a field of /proc/PID/status in bytes, 0 where there is none.
func field(status []byte, name string) int64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name+":"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(string(line)), " kB"), 10, 64)
	return n << 10
}

// eachFile visits the files at path or below.
func eachFile(path string, visit func(f *os.File) error) error {
	return filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(visit(f), f.Close())
	})
}

// flush brings everything to stable storage, and tells how many bytes it is.
func flush(path string) (size int64, err error) {
	err = eachFile(path, func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			size += info.Size()
		}
		return f.Sync()
	})
	return size, err
}

// evict drops everything from the page cache, which only works for what is on
// stable storage.
func evict(path string) error {
	return eachFile(path, func(f *os.File) error {
		return errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}
