package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/doctor"
)

// doctorLoaderName is the command that doctor --load starts; people do not.
const doctorLoaderName = "doctor-loader"

// loaderPatience is how long loading may take: the libraries have some gigabytes.
const loaderPatience = 3 * time.Minute

func doctorLoaderCommand() *cli.Command {
	return &cli.Command{
		Name: doctorLoaderName, Usage: "load TensorRT-LLM's libraries for the doctor that started this", Hidden: true,
		Action: func(c *cli.Context) error {
			if err := ownStdout(c); err != nil {
				return err
			}
			return printJSON(c, loadLibraries())
		},
	}
}

// loadLibraries loads TensorRT-LLM's libraries into this process and tells what they are.
func loadLibraries() doctor.Loaded {
	var l doctor.Loaded
	path, err := native.Find(native.TensorRT)
	if err != nil {
		l.Error = err.Error()
		return l
	}
	l.Library = path
	lib, err := native.Open(native.Options{
		Flavour: native.TensorRT, Path: path, TensorRT: os.Getenv(native.TensorRTVariable), Plugins: native.FindPlugins(),
	})
	if err != nil {
		l.Error = err.Error()
		return l
	}
	defer lib.Close()
	v := lib.Versions()
	l.TensorRT = fmt.Sprintf("%d.%d.%d", v.TensorRT/10000, v.TensorRT/100%100, v.TensorRT%100)
	l.TensorRTLLM, l.TensorRTLLMHeaders = v.Executor, v.ExecutorHeaders
	l.PluginDifferences = tensorrt.CheckPlugins(lib, tensorrt.Releases[0])
	if devices, err := native.Devices(); err == nil { // otherwise doctor tells of the driver
		for _, d := range devices {
			l.GPUs = append(l.GPUs, doctor.GPU{Name: d.Name, ComputeCapability: fmt.Sprintf("%d.%d", d.Capability/10, d.Capability%10), Memory: d.Memory})
		}
	}
	return l
}

// loadElsewhere lets another process do that, since libraries that do not fit may end it, or never come back.
func loadElsewhere(ctx context.Context, command []string, patience time.Duration) doctor.Loaded {
	inner, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, words bytes.Buffer
	c := exec.CommandContext(inner, command[0], command[1:]...)
	c.Stdout, c.Stderr, c.WaitDelay = &out, &limited{w: &words, left: 64 << 10}, 5*time.Second
	err := c.Run()
	var l doctor.Loaded
	switch {
	case errors.Is(inner.Err(), context.DeadlineExceeded):
		l.Crash = fmt.Sprintf("it did not end within %v", patience)
	case err != nil:
		l.Crash = err.Error()
		if last := lastWords(words.String()); last != "" {
			l.Crash += fmt.Sprintf(", its last words: %.300s", last)
		}
	default:
		if err := json.Unmarshal(out.Bytes(), &l); err != nil {
			l.Crash = fmt.Sprintf("it answers what cannot be read: %v", err)
		}
	}
	return l
}

// goDeath begins what Go's runtime says when a signal in native code, or a panic, ends the process; registers and stacks
// follow.
var goDeath = regexp.MustCompile(`(?m)^(SIG[A-Z]+: |fatal error: |panic: |signal arrived ).*`)

// lastWords is the last line of what a process said, or what says why it died.
func lastWords(text string) string {
	if found := goDeath.FindString(text); found != "" {
		return found
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// limited drops what is too much.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n, err := l.w.Write(p[:min(len(p), l.left)])
	l.left -= n
	return len(p), err
}
