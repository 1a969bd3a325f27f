package main

import (
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"
)

// ownStdout keeps stdout for what the command itself writes. Native libraries print there too, as the logger of
// TensorRT-LLM's plugins does: from now on that goes to stderr. It does nothing where the command writes elsewhere.
func ownStdout(c *cli.Context) error {
	if c.App.Writer != io.Writer(os.Stdout) {
		return nil
	}
	own, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, unix.Stderr+1)
	if err != nil {
		return fmt.Errorf("keeping stdout: %w", err)
	}
	if err := unix.Dup3(unix.Stderr, unix.Stdout, 0); err != nil {
		_ = unix.Close(own) // nothing was written to it
		return fmt.Errorf("keeping stdout: %w", err)
	}
	c.App.Writer = os.NewFile(uintptr(own), os.Stdout.Name())
	return nil
}
