package tokenizer

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trtgo/trtgo/tokenizer/internal/jinja"
)

// chatTemplate is compiled when it is first used, so that a template which cannot be compiled
// is no hindrance to tokenizing.
type chatTemplate struct {
	source   string
	once     sync.Once
	compiled *jinja.Template
	err      error
}

func (c *chatTemplate) render(variables map[string]any) (string, error) {
	c.once.Do(func() {
		var err error
		if c.compiled, err = jinja.Compile(c.source); err != nil {
			c.err = fmt.Errorf("%w cannot be parsed: %w", ErrChatTemplate, err)
		}
	})
	if c.err != nil {
		return "", c.err
	}
	text, err := c.compiled.Render(variables)
	if err != nil {
		return "", fmt.Errorf("%w failed: %w", ErrChatTemplate, err)
	}
	return text, nil
}

// templateFunctions are what transformers adds to Jinja's own.
func templateFunctions(now time.Time) map[string]any {
	return map[string]any{
		"raise_exception": jinja.Func(func(args []any, _ jinja.Keywords) (any, error) {
			if len(args) == 1 {
				if s, ok := args[0].(string); ok {
					return nil, fmt.Errorf("the template says: %s", s)
				}
			}
			return nil, errors.New("the template raised an exception")
		}),
		"strftime_now": jinja.Func(func(args []any, kwargs jinja.Keywords) (any, error) {
			if format, ok := kwargs.Get("format"); ok {
				args = append(args, format)
			}
			if len(args) == 1 {
				if s, ok := args[0].(string); ok {
					return strftime(now, s), nil
				}
			}
			return nil, errors.New("strftime_now wants a format")
		}),
	}
}
