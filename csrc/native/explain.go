package native

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// explained stands between the sentence for people and the native text.
const explained = "; native error: "

const (
	longest = 500      // characters of a native text that are kept
	read    = 16 << 10 // bytes of it that are looked at
)

// Explain returns one line for a text of TensorRT-LLM, TensorRT, MPI, CUDA or the dynamic loader. Where the error is
// known it is a sentence that says what it means and what to do, and after it the line of the text that tells of it,
// without file names and stack traces. Of another text it is the first line, cut in the same way. What Explain
// returned it returns again. Any goroutine may call it.
func Explain(text string) string {
	line, _ := explain(text)
	return line
}

// Class returns what kind of failure a native text tells of, or what Explain made of it: ErrQueueFull, ErrTooLong,
// ErrClosed, ErrVersion, ErrMemory, ErrUnsupported, ErrInvalid, ErrNotFound or ErrBroken, or nil where that is not known.
func Class(text string) error {
	_, class := explain(text)
	return class
}

// explainedError explains the text of an [*Error].
func explainedError(err error) error {
	if e, ok := err.(*Error); ok { //nolint:errorlint // it is new, and nothing wraps it
		e.Text = Explain(e.Text)
	}
	return err
}

func explain(text string) (string, error) {
	lines := cleanLines(text)
	if len(lines) == 0 {
		return "the native library failed and did not say why", nil
	}
	if _, native, found := strings.Cut(lines[0], explained); found {
		e, _, _ := known([]string{native})
		return lines[0], e.class
	}
	e, line, match := known(lines)
	if match == nil {
		return cut(lines[0], 0, 0), nil
	}
	sentence := e.pattern.ExpandString(nil, e.sentence, line, match)
	return string(sentence) + explained + cut(line, match[0], match[1]), e.class
}

// known returns the first entry of the table that a line matches, the line, and where.
func known(lines []string) (e knownError, line string, match []int) {
	for _, e := range knownErrors() {
		for _, line := range lines {
			if match := e.pattern.FindStringSubmatchIndex(line); match != nil {
				return e, line, match
			}
		}
	}
	return knownError{}, "", nil
}

// noise is what says nothing to a reader: the marks of loggers, the names of exceptions before a text, where it was
// thrown after it, and the lines of a stack trace.
type noise struct{ marks, before, after, line *regexp.Regexp }

var noises = sync.OnceValue(func() noise {
	return noise{
		marks: regexp.MustCompile(`\[(?:TensorRT-LLM|TRT-LLM|TensorRT|TRT)\] ?\[(?:RANK \d+\] ?\[)?[A-Z]+\] ?(?:Assertion failed: )?`),
		before: regexp.MustCompile(`^(?:\[[\d/:. -]{8,}\]|\[[EWFI]\]|\[[\w.]+::[\w:~]+::\d+\]|\d{1,2}:|Error Code \d+:|Error\[\d+\]:|ERROR:|Error:|RuntimeError:` +
			`|what\(\):|Assertion failed:|tensorrt_llm::common::\w+:|terminate called after throwing an instance of '[^']*') ?`),
		after: regexp.MustCompile(` ?\([^()\s]*[\w-]\.(?:cpp|cc|cu|cuh|h|hpp):\d+\)$`),
		line:  regexp.MustCompile(`^(?:\d+ 0x[0-9a-fA-F]+\b.*|\[ ?\d+\] \S*[/(].*|=+ ?backtrace.*|\[truncated\]|[-=*+]+)$`),
	}
})

// cleanLines returns the lines of a text that say something, without noise.
func cleanLines(text string) []string {
	var lines []string
	text = text[:min(len(text), read)]
	n := noises()
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, strings.ToValidUTF8(line, "?"))), " ")
		if n.line.MatchString(line) {
			continue
		}
		for before := ""; before != line; {
			before = line
			line = n.marks.ReplaceAllString(line, "")
			line = n.before.ReplaceAllString(strings.TrimSpace(line), "")
			line = strings.TrimSpace(n.after.ReplaceAllString(line, ""))
		}
		if line != "" && !n.line.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// cut shortens a line, but keeps what is from byte begin to end.
func cut(line string, begin, end int) string {
	dots := ""
	if end > longest {
		line, end, dots = line[begin:], end-begin, "…"
	}
	count := 0
	for i := range line {
		if count++; count > longest && i >= end {
			return dots + strings.TrimSpace(line[:i]) + "…"
		}
	}
	return dots + line
}
