//go:build !linux

package main

import "github.com/urfave/cli/v2"

// ownStdout does nothing here: TensorRT's libraries, which print to stdout, are loaded on linux only.
func ownStdout(*cli.Context) error { return nil }
