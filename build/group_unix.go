//go:build unix

package build

import (
	"os/exec"

	"golang.org/x/sys/unix"
)

// ownGroup puts a program and all that it starts into a process group, which is
// ended as one when the command's context ends.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
}

// endGroup ends what is left of the group of a program that has ended.
func endGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // mostly nothing is left
	}
}
