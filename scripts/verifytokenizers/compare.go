package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/trtgo/trtgo/scripts/internal/reference"
	"github.com/trtgo/trtgo/tokenizer"
)

// comparison holds one tokenizer against its library.
type comparison struct {
	subject subject
	own     *tokenizer.Tokenizer
	library *reference.Library
	random  *rand.Rand

	texts, bytes, ids int
	decodings         int
	differences       []string
}

// maxDifferences is how many differences are looked at; more say nothing new.
const maxDifferences = 20

// encodings are the ways in which a text is encoded.
var encodings = []struct {
	task    reference.Task
	options tokenizer.EncodeOptions
	name    string
}{
	{reference.Encode, tokenizer.EncodeOptions{}, "encode"},
	{reference.EncodeSpecial, tokenizer.EncodeOptions{AddSpecialTokens: true}, "encode with special tokens"},
	{reference.EncodePlain, tokenizer.EncodeOptions{PlainSpecialTokens: true}, "encode with plain special tokens"},
}

// batch compares texts in every way, and what both make of ids: those of the texts, and random ones.
func (c *comparison) batch(texts []string) error {
	var lists [][]int32
	for _, e := range encodings {
		want, err := c.ask(e.task, texts)
		if err != nil {
			return err
		}
		for i, s := range texts {
			got, err := c.own.Encode(s, e.options)
			if err != nil {
				return fmt.Errorf("%s: %q: %w", c.subject.name, s, err)
			}
			if !slices.Equal(got, want[i]) {
				if err := c.differ(e.name, e.task, e.options, s); err != nil {
					return err
				}
			}
			c.ids += len(want[i])
		}
		if e.task == reference.EncodeSpecial {
			lists = want
		}
	}
	c.texts += len(texts)
	for _, s := range texts {
		c.bytes += len(s)
	}
	return c.decode(append(lists, c.randomIDs(len(texts)/8+1)...))
}

// ask gives the library's ids. Most libraries take only what is UTF-8; of bytes that are not, a
// Python program would make U+FFFD, as ours does.
func (c *comparison) ask(task reference.Task, texts []string) ([][]int32, error) {
	if !c.subject.bytes {
		texts = slices.Clone(texts)
		for i, s := range texts {
			texts[i] = lossy(s)
		}
	}
	return c.library.IDs(task, texts)
}

// lossy is what Python gives for bytes that are not UTF-8: U+FFFD for each longest beginning of a
// character. It is written apart from the tokenizer's own replacement, which it checks.
func lossy(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, w := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && w == 1 {
			for w < len(s) && beginsCharacter(s[:w+1]) {
				w++
			}
			b.WriteRune(utf8.RuneError)
		} else {
			b.WriteString(s[:w])
		}
		s = s[w:]
	}
	return b.String()
}

// beginsCharacter tells whether bytes could follow that make it one character.
func beginsCharacter(s string) bool {
	for _, low := range []byte{0x80, 0xbf} {
		for full := s; len(full) < utf8.UTFMax; {
			full += string([]byte{low})
			if _, w := utf8.DecodeRuneInString(full); w == len(full) {
				return true
			}
		}
	}
	return false
}

// randomIDs are ids as a model may give them, in any order.
func (c *comparison) randomIDs(n int) [][]int32 {
	size := c.own.VocabSize()
	lists := make([][]int32, n)
	for i := range lists {
		limit := size
		if c.random.IntN(3) == 0 { // the beginning holds special tokens and bytes
			limit = min(size, 600)
		}
		for range c.random.IntN(24) {
			id := int32(c.random.IntN(limit))
			if _, ok := c.own.Token(id); ok {
				lists[i] = append(lists[i], id)
			}
		}
	}
	return lists
}

func (c *comparison) decode(lists [][]int32) error {
	for _, skip := range []bool{false, true} {
		task := reference.Decode
		if skip {
			task = reference.DecodeSkip
		} else if !c.subject.kept {
			continue
		}
		want, err := c.library.Texts(task, lists)
		if err != nil {
			return err
		}
		for i, ids := range lists {
			options := tokenizer.DecodeOptions{SkipSpecialTokens: skip}
			got, err := c.own.Decode(ids, options)
			if err != nil {
				return fmt.Errorf("%s: %v: %w", c.subject.name, ids, err)
			}
			if got != want[i] {
				c.add("decode, skipping %v: %v gives %q, the library %q", skip, ids, got, want[i])
			}
			if joined, err := c.chunks(ids, options); err != nil || joined != got {
				c.add("decode in chunks, skipping %v: %v gives %q, at once %q (%v)", skip, ids, joined, got, err)
			}
			c.decodings++
		}
	}
	return nil
}

// chunks is what an incremental decoder gives, joined.
func (c *comparison) chunks(ids []int32, o tokenizer.DecodeOptions) (string, error) {
	d := c.own.NewDecoder(o)
	var b strings.Builder
	for _, id := range ids {
		s, err := d.Add(id)
		if err != nil {
			return "", err
		}
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("a chunk, %q, is not UTF-8", s)
		}
		b.WriteString(s)
	}
	b.WriteString(d.Flush())
	return b.String(), nil
}

func (c *comparison) add(format string, a ...any) {
	c.differences = append(c.differences, fmt.Sprintf(format, a...))
}

// differ records a difference with the shortest text that shows it.
func (c *comparison) differ(name string, task reference.Task, o tokenizer.EncodeOptions, text string) error {
	if len(c.differences) >= maxDifferences {
		c.add("%s: one more", name)
		return nil
	}
	both := func(s string) (got, want []int32, err error) {
		lists, err := c.ask(task, []string{s})
		if err != nil {
			return nil, nil, err
		}
		got, err = c.own.Encode(s, o)
		return got, lists[0], err
	}
	text, err := shortest(text, func(s string) (bool, error) {
		got, want, err := both(s)
		return err == nil && !slices.Equal(got, want), err
	})
	if err != nil {
		return err
	}
	got, want, err := both(text)
	c.add("%s: %q gives %v, the library %v", name, text, got, want)
	return err
}

// shortest leaves out what it can of a text that still fails.
func shortest(text string, fails func(string) (bool, error)) (string, error) {
	parts := strings.Split(text, "") // characters, or bytes that are none
	for size := (len(parts) + 1) / 2; size > 0; {
		removed := false
		for from := 0; from < len(parts); {
			rest := slices.Concat(parts[:from], parts[min(len(parts), from+size):])
			failing, err := fails(strings.Join(rest, ""))
			if err != nil {
				return "", err
			}
			if failing {
				parts, removed = rest, true
			} else {
				from += size
			}
		}
		if !removed {
			size /= 2
		}
	}
	return strings.Join(parts, ""), nil
}
