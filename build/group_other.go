//go:build !unix

package build

import "os/exec"

// ownGroup does nothing here: the program alone is killed when the context ends.
func ownGroup(*exec.Cmd) {}

func endGroup(*exec.Cmd) {}
