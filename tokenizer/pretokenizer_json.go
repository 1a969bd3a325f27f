package tokenizer

import "unicode/utf8"

// parsePreTokenizers reads the stages of a pre_tokenizer. byteLevel is true when the last one is ByteLevel's
// spelling of bytes, which is then left to the model.
func parsePreTokenizers(raw string) (stages []preTokenizer, byteLevel bool, err error) {
	parts, err := flatten(raw, "pre_tokenizer", "pretokenizers", 0)
	if err != nil {
		return nil, false, err
	}
	for _, c := range parts {
		more, err := c.preTokenizer()
		if err != nil {
			return nil, false, err
		}
		stages = append(stages, more...)
	}
	if n := len(stages); n > 0 {
		if _, ok := stages[n-1].(spellBytes); ok {
			return stages[:n-1], true, nil
		}
	}
	return stages, false, nil
}

// preTokenizer returns the stages of one component.
func (c *component) preTokenizer() ([]preTokenizer, error) {
	where := "pre_tokenizer " + c.Type
	set := func(s characters, b behavior) ([]preTokenizer, error) {
		return []preTokenizer{splitAt{pattern: s, behavior: b}}, b.check(where)
	}
	switch c.Type {
	case "Split":
		return c.split(where)
	case "ByteLevel":
		return c.byteLevel(), nil
	case "Metaspace":
		return c.metaspace(where)
	case "Digits":
		if value(c.IndividualDigits) {
			return []preTokenizer{splitAll{splitDigits}}, nil
		}
		return []preTokenizer{splitAll{splitNumbers}}, nil
	case "Punctuation":
		b := behaviorIsolated
		if c.Behavior != nil {
			b = behavior(*c.Behavior)
		}
		return set(isPunctuation, b)
	case "Whitespace":
		return []preTokenizer{splitWords{}}, nil
	case "WhitespaceSplit":
		return set(isSpace, behaviorRemoved)
	case "BertPreTokenizer":
		return []preTokenizer{splitAt{pattern: characters(isSpace), behavior: behaviorRemoved},
			splitAt{pattern: characters(isPunctuation), behavior: behaviorIsolated}}, nil
	case "UnicodeScripts":
		return []preTokenizer{unicodeScripts{}}, nil
	case "CharDelimiterSplit":
		delimiter, err := oneCharacter(c.Delimiter, where, "delimiter")
		if err != nil {
			return nil, err
		}
		return set(func(r rune) bool { return r == delimiter }, behaviorRemoved)
	case "FixedLength":
		n := 5
		if c.Length != nil {
			n = int(min(*c.Length, 1<<30))
		}
		if n < 1 {
			return nil, invalid("%s has length %d, want 1 or more", where, *c.Length)
		}
		return []preTokenizer{fixedLength(n)}, nil
	}
	return nil, unsupported("pre_tokenizer %s in tokenizer.json", c.Type)
}

func oneCharacter(s *string, where, field string) (rune, error) {
	if s == nil || utf8.RuneCountInString(*s) != 1 {
		return 0, invalid("%s has %s %q, want one character", where, field, value(s))
	}
	r, _ := utf8.DecodeRuneInString(*s)
	return r, nil
}

func (c *component) split(where string) ([]preTokenizer, error) {
	if c.Behavior == nil || c.Pattern == nil {
		return nil, invalid("%s lacks pattern or behavior", where)
	}
	b := behavior(*c.Behavior)
	if err := b.check(where); err != nil {
		return nil, err
	}
	if c.Pattern.Regex != nil {
		known, ok := knownPatterns[*c.Pattern.Regex]
		// Of a pattern that covers all text, what does not match is nothing.
		if ok && (b == behaviorIsolated || known.covers && b == behaviorRemoved && value(c.Invert)) {
			return []preTokenizer{splitAll{known.split}}, nil
		}
	}
	p, err := c.Pattern.compile(where)
	if err != nil {
		return nil, err
	}
	return []preTokenizer{splitAt{pattern: p, behavior: b, invert: value(c.Invert)}}, nil
}

func (c *component) byteLevel() []preTokenizer {
	var stages []preTokenizer
	if c.AddPrefixSpace == nil || *c.AddPrefixSpace {
		stages = append(stages, prefixSpace{})
	}
	if c.UseRegex == nil || *c.UseRegex {
		stages = append(stages, splitAll{splitGPT2})
	}
	return append(stages, spellBytes{})
}

func (c *component) metaspace(where string) ([]preTokenizer, error) {
	m, err := c.metaspaceOptions(where)
	return []preTokenizer{m}, err
}

// metaspaceOptions reads the options that the pre-tokenizer and the decoder share.
func (c *component) metaspaceOptions(where string) (metaspace, error) {
	symbol, err := oneCharacter(c.Replacement, where, "replacement")
	if err != nil {
		return metaspace{}, err
	}
	m := metaspace{symbol: string(symbol), scheme: "always", split: c.Split == nil || *c.Split}
	if c.PrependScheme != nil {
		m.scheme = *c.PrependScheme
	}
	if m.scheme != "always" && m.scheme != "first" && m.scheme != "never" {
		return m, invalid("%s has prepend_scheme %q, want always, first or never", where, m.scheme)
	}
	if c.AddPrefixSpace != nil && !*c.AddPrefixSpace && m.scheme != "never" {
		return m, invalid("%s has add_prefix_space false, but prepend_scheme %s", where, m.scheme)
	}
	return m, nil
}
