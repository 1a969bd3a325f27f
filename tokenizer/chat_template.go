package tokenizer

import (
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

const (
	maxRange      = 100000 // jinja2's sandbox allows as much
	maxMacroDepth = 200
)

// templateGlobals are the functions of transformers' environment that the engine lacks or has
// otherwise, and those that prepareTemplate writes into a template.
func templateGlobals(now time.Time) map[string]jinja.Value {
	depth := 0
	return map[string]jinja.Value{
		filterName("tojson"): jinja.NewCallable("tojson", dumpFilter),
		"raise_exception":    jinja.NewCallable("raise_exception", raiseException),
		"strftime_now": jinja.NewCallable("strftime_now", func(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
			format, ok := argument(args, kwargs, 0, "format")
			if !ok || !format.IsString() {
				return jinja.Undefined(), fmt.Errorf("strftime_now wants a format")
			}
			return jinja.NewString(strftime(now, format.AsString())), nil
		}),
		"range": jinja.NewCallable("range", rangeList),
		macroEnter: jinja.NewCallable(macroEnter, func([]jinja.Value, map[string]jinja.Value) (jinja.Value, error) {
			if depth++; depth > maxMacroDepth {
				return jinja.Undefined(), fmt.Errorf("macros call each other more than %d deep", maxMacroDepth)
			}
			return jinja.NewString(""), nil
		}),
		macroLeave: jinja.NewCallable(macroLeave, func([]jinja.Value, map[string]jinja.Value) (jinja.Value, error) {
			depth--
			return jinja.NewString(""), nil
		}),
	}
}

// argument returns a positional or a named argument.
func argument(args []jinja.Value, kwargs map[string]jinja.Value, i int, name string) (jinja.Value, bool) {
	if i < len(args) {
		return args[i], true
	}
	v, ok := kwargs[name]
	return v, ok
}

func raiseException(args []jinja.Value, kwargs map[string]jinja.Value) (jinja.Value, error) {
	if v, ok := argument(args, kwargs, 0, "message"); ok && v.IsString() {
		return jinja.Undefined(), fmt.Errorf("the template says: %s", v.AsString())
	}
	return jinja.Undefined(), fmt.Errorf("the template raised an exception")
}

// rangeList is Python's range with the sandbox's bound.
func rangeList(args []jinja.Value, _ map[string]jinja.Value) (jinja.Value, error) {
	var n [3]int64
	if len(args) < 1 || len(args) > 3 {
		return jinja.Undefined(), fmt.Errorf("range takes 1 to 3 numbers, not %d", len(args))
	}
	for i, a := range args {
		if !a.IsInt() {
			return jinja.Undefined(), fmt.Errorf("range wants whole numbers, got %s", a.String())
		}
		n[i] = a.AsInt()
	}
	start, stop, step := n[0], n[1], n[2]
	switch len(args) {
	case 1:
		start, stop, step = 0, n[0], 1
	case 2:
		step = 1
	}
	if step == 0 {
		return jinja.Undefined(), fmt.Errorf("range: the step is zero")
	}
	var items []jinja.Value
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(items) == maxRange {
			return jinja.Undefined(), fmt.Errorf("range has more than %d numbers", maxRange)
		}
		items = append(items, jinja.NewInt(i))
		if step > 0 && i > stop-step || step < 0 && i < stop-step {
			break // the next step might overflow
		}
	}
	return jinja.NewList(items), nil
}

// strftime prints a time as Python's datetime.strftime does for a naive time in the C locale.
func strftime(t time.Time, format string) string {
	var out []byte
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out = append(out, format[i])
			continue
		}
		i++
		unpadded := false
		if format[i] == '-' && i+1 < len(format) {
			unpadded = true
			i++
		}
		s := strftimeField(t, format[i])
		if unpadded {
			for len(s) > 1 && (s[0] == '0' || s[0] == ' ') {
				s = s[1:]
			}
		}
		out = append(out, s...)
	}
	return string(out)
}

func strftimeField(t time.Time, field byte) string {
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'd': "02", 'e': "_2",
		'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'S': "05", 'y': "06", 'Y': "2006",
		'f': "000000", 'j': "002", 'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05",
		'D': "01/02/06", 'F': "2006-01-02", 'R': "15:04", 'T': "15:04:05", 'r': "03:04:05 PM",
	}
	if layout, ok := layouts[field]; ok {
		if field == 'f' {
			return fmt.Sprintf("%06d", t.Nanosecond()/1000)
		}
		return t.Format(layout)
	}
	year, week := t.ISOWeek()
	weekday := int(t.Weekday())
	switch field {
	case '%':
		return "%"
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'z', 'Z':
		return "" // datetime.now() knows no zone
	case 'w':
		return fmt.Sprint(weekday)
	case 'u':
		return fmt.Sprint((weekday+6)%7 + 1)
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1)
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100)
	case 'G':
		return fmt.Sprint(year)
	case 'g':
		return fmt.Sprintf("%02d", year%100)
	case 'V':
		return fmt.Sprintf("%02d", week)
	case 'U':
		return fmt.Sprintf("%02d", (t.YearDay()+6-weekday)/7)
	case 'W':
		return fmt.Sprintf("%02d", (t.YearDay()+6-(weekday+6)%7)/7)
	case 's':
		return fmt.Sprint(t.Unix())
	}
	return "%" + string(field)
}
