//go:build cgo && linux && (amd64 || arm64)

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// keyboard is a program's terminal, seen from outside.
type keyboard struct {
	t      *testing.T
	pty    *os.File
	screen string
}

// startOnTerminal runs trtgo with a terminal of its own for all three streams.
func startOnTerminal(t *testing.T, args ...string) (*exec.Cmd, *keyboard) {
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { pty.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	// Kept open here too: when the last side closes, what it wrote just before can be lost.
	t.Cleanup(func() { tty.Close() })

	exe, err := os.Executable()
	require.NoError(t, err)
	c := &exec.Cmd{
		Path: exe, Args: append([]string{"trtgo"}, args...), Stdin: tty, Stdout: tty, Stderr: tty,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c, &keyboard{t: t, pty: pty}
}

// press types keys.
func (k *keyboard) press(keys string) {
	_, err := k.pty.WriteString(keys)
	require.NoError(k.t, err)
}

// read takes what the screen shows next.
func (k *keyboard) read() {
	part := make([]byte, 4096)
	require.NoError(k.t, k.pty.SetReadDeadline(time.Now().Add(time.Minute)))
	n, err := k.pty.Read(part)
	require.NoError(k.t, err, "the screen shows %q", k.screen)
	k.screen += string(part[:n])
}

// waitFor reads on until the screen shows text that was not there before.
func (k *keyboard) waitFor(text string) {
	for !strings.Contains(k.screen, text) {
		k.read()
	}
	_, k.screen, _ = strings.Cut(k.screen, text)
}

// A chat on a real terminal: marks, an answer that Ctrl-C stops, and the end.
func TestChatOnATerminal(t *testing.T) {
	const ctrlC, ctrlD = "\x03", "\x04"
	engine, _ := longEngine(t)
	args := []string{"chat", "--engine_dir", engine, "--max_output_len", "50000", "--end_id", "-1"}

	c, k := startOnTerminal(t, args...)
	k.waitFor("/help lists the commands")
	k.waitFor("> ")
	k.press("a\n")
	k.waitFor("a\r\n")        // the echo
	for len(k.screen) < 100 { // of the answer
		k.read()
	}
	k.press(ctrlC)
	k.waitFor("(stopped)")
	k.waitFor("> ")
	k.press("half a line" + ctrlC)
	k.waitFor("(Ctrl-C again, Ctrl-D or /exit leaves)")
	k.waitFor("> ")
	k.press(ctrlC)
	k.waitFor("trtgo: interrupted")
	_ = c.Wait()
	require.Equal(t, exitInterrupted, c.ProcessState.ExitCode())

	c, k = startOnTerminal(t, args...)
	k.waitFor("> ")
	k.press(ctrlD)
	require.NoError(t, c.Wait())
}
