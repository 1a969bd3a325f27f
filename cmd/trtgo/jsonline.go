package main

import (
	"encoding/json"

	"github.com/urfave/cli/v2"
)

// printJSON writes v as one line, without escaping HTML's characters.
func printJSON(c *cli.Context, v any) error {
	encoder := json.NewEncoder(c.App.Writer)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// jsonAlways is --json of a command that prints nothing else.
func jsonAlways() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "taken: the output is always JSON, one object a line"}
}
