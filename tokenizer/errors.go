package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

var (
	// ErrUnsupported is wrapped by errors about a tokenizer that is well formed but of a
	// kind this package does not implement. The message names the kind.
	ErrUnsupported = errors.New("unsupported tokenizer")

	// ErrNoTokenizer is wrapped when a directory holds neither tokenizer.json nor tokenizer.model.
	ErrNoTokenizer = errors.New("no tokenizer")

	// ErrInvalid is wrapped by errors about a damaged or contradictory tokenizer file.
	ErrInvalid = errors.New("invalid tokenizer file")

	// ErrUnknownID is wrapped when an id to decode has no token.
	ErrUnknownID = errors.New("unknown token id")

	// ErrNoChatTemplate is wrapped when a chat is rendered with a model that has no template.
	ErrNoChatTemplate = errors.New("no chat template")

	// ErrChatTemplate is wrapped when a chat template cannot be parsed or rendered, or when the
	// template itself refuses the messages by raise_exception.
	ErrChatTemplate = errors.New("chat template")
)

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}

func invalid(format string, args ...any) error {
	for i, a := range args {
		if err, ok := a.(error); ok {
			args[i] = plainJSON(err)
		}
	}
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// plainJSON is the text of an error of encoding/json, with JSON's names of types in place of Go's.
func plainJSON(err error) string {
	var t *json.UnmarshalTypeError
	if !errors.As(err, &t) {
		return err.Error()
	}
	want := map[reflect.Kind]string{reflect.String: "a string", reflect.Bool: "true or false", reflect.Slice: "an array",
		reflect.Int64: "a whole number", reflect.Float64: "a number"}[t.Type.Kind()]
	if want == "" {
		want = "an object"
	}
	where := ""
	if t.Field != "" {
		where = " in " + t.Field
	}
	return strings.Replace(err.Error(), t.Error(), fmt.Sprintf("found %s%s, want %s", t.Value, where, want), 1)
}
