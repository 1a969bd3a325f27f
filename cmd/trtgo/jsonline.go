package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

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

// plainJSONError says in JSON's words what encoding/json says in Go's.
func plainJSONError(err error) error {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	case wrong.Field == "":
		return fmt.Errorf("a JSON %s where an object should be", wrong.Value)
	}
	want := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Int32: "a token id", reflect.Slice: "a list", reflect.Bool: "true or false",
	}[wrong.Type.Kind()]
	return fmt.Errorf("field %q has a %s where %s should be", wrong.Field, wrong.Value, want)
}
