package tokenizer

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ardanlabs/jinja"
)

// chatTemplate is compiled when it is first used, so that a template which cannot be compiled
// is no hindrance to tokenizing.
type chatTemplate struct {
	source   string
	once     sync.Once
	compiled *jinja.Template
	err      error
}

func (c *chatTemplate) compile() {
	defer func() {
		if r := recover(); r != nil {
			c.err = fmt.Errorf("%w cannot be parsed: %v", ErrChatTemplate, r)
		}
	}()
	source, err := prepareTemplate(c.source)
	if err == nil {
		c.compiled, err = jinja.Compile(source)
	}
	if err != nil {
		c.err = fmt.Errorf("%w cannot be parsed: %w", ErrChatTemplate, err)
	}
}

func (c *chatTemplate) render(data map[string]jinja.Value) (text string, err error) {
	c.once.Do(c.compile)
	if c.err != nil {
		return "", c.err
	}
	// The engine indexes and converts on a template's word.
	defer func() {
		if r := recover(); r != nil {
			text, err = "", fmt.Errorf("%w failed: %v", ErrChatTemplate, r)
		}
	}()
	text, err = c.compiled.RenderValues(data)
	if err != nil {
		return "", fmt.Errorf("%w failed: %w", ErrChatTemplate, err)
	}
	return text, nil
}

// templateGlobals are the functions of transformers' environment that the engine lacks or has
// otherwise, and those that prepareTemplate writes into a template.
func templateGlobals(now time.Time) map[string]jinja.Value {
	data := map[string]jinja.Value{}
	set := func(name string, fn func([]jinja.Value, map[string]jinja.Value) (jinja.Value, error)) {
		data[name] = jinja.NewCallable(name, fn)
	}
	for name, fn := range ownFilters {
		set(filterName(name), fn)
	}
	set(printCall, printPython)
	set(addCall, addPython)
	set(joinCall, joinPython)
	set(iterCall, iterPython)
	set("range", rangeList)
	set("raise_exception", raiseException)
	set("strftime_now", func(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
		format, ok := argument(args, kwargs, 0, "format")
		if !ok || !format.IsString() {
			return jinja.Undefined(), errors.New("strftime_now wants a format")
		}
		return jinja.NewString(strftime(now, format.AsString())), nil
	})
	depth := 0
	set(macroEnter, func([]jinja.Value, map[string]jinja.Value) (jinja.Value, error) {
		if depth++; depth > maxMacroDepth {
			return jinja.Undefined(), fmt.Errorf("macros call each other more than %d deep", maxMacroDepth)
		}
		return jinja.NewString(""), nil
	})
	set(macroLeave, func([]jinja.Value, map[string]jinja.Value) (jinja.Value, error) {
		depth--
		return jinja.NewString(""), nil
	})
	return data
}
