package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// normalizer rewrites text before it is cut into pieces.
type normalizer interface {
	normalize(text string) (string, error)
}

// normalizers are applied in order.
type normalizers []normalizer

func (list normalizers) normalize(text string) (string, error) {
	var err error
	for _, n := range list {
		if text, err = n.normalize(text); err != nil {
			return "", err
		}
	}
	return text, nil
}

// keepsStart reports whether the first character of a text is still in it when it is normalised: whether the
// library takes what is left to begin where the text does.
func (list normalizers) keepsStart(text, normalized string) bool {
	if len(list) == 0 {
		return true
	}
	_, w := utf8.DecodeRuneInString(text)
	rest, err := list.normalize(text[w:])
	return err != nil || rest != normalized
}

// parseNormalizers reads a normalizer, nil for none.
func parseNormalizers(raw string) (normalizers, error) {
	parts, err := flatten(raw, "normalizer", "normalizers", 0)
	if err != nil {
		return nil, err
	}
	var list normalizers
	for _, c := range parts {
		n, err := c.normalizer()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func (c *component) normalizer() (normalizer, error) {
	where := "normalizer " + c.Type
	switch c.Type {
	case "NFC", "NFD", "NFKC", "NFKD":
		return normalForms[c.Type], nil
	case "Lowercase":
		return mapping(lowercase), nil
	case "StripAccents":
		return mapping(stripCombining), nil
	case "Nmt":
		return mapping(nmt), nil
	case "ByteLevel":
		return mapping(func(text string) string { return string(appendByteLevel(nil, text)) }), nil
	case "Prepend":
		if c.Prepend == nil {
			return nil, invalid("%s lacks prepend", where)
		}
		return prepend(*c.Prepend), nil
	case "Strip":
		if c.StripLeft == nil || c.StripRight == nil {
			return nil, invalid("%s lacks strip_left or strip_right", where)
		}
		return stripSpace{*c.StripLeft, *c.StripRight}, nil
	case "Replace":
		if c.Pattern == nil || c.Content == nil {
			return nil, invalid("%s lacks pattern or content", where)
		}
		p, err := c.Pattern.compile(where)
		return replaceAll{p, *c.Content}, err
	case "Precompiled":
		return parsePrecompiled(value(c.PrecompiledMap))
	case "Bert", "BertNormalizer":
		return c.bertNormalizer(where)
	}
	return nil, unsupported("normalizer %s in tokenizer.json", c.Type)
}

// mapping is a normalizer without settings.
type mapping func(text string) string

func (m mapping) normalize(text string) (string, error) { return m(text), nil }

// prepend puts a text before every text that is not empty.
type prepend string

func (p prepend) normalize(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return string(p) + text, nil
}

type stripSpace struct{ left, right bool }

func (s stripSpace) normalize(text string) (string, error) {
	if s.left {
		text = text[leadingSpace(text):]
	}
	if s.right {
		text = text[:trailingSpace(text)]
	}
	return text, nil
}

// replaceAll puts content in the place of each match.
type replaceAll struct {
	pattern pattern
	content string
}

func (r replaceAll) normalize(text string) (string, error) {
	if old, ok := r.pattern.(literalPattern); ok {
		return strings.ReplaceAll(text, string(old), r.content), nil
	}
	if text == "" {
		return "", nil
	}
	spans, err := appendSpans(nil, r.pattern, text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, s := range spans {
		if s.match {
			out.WriteString(r.content)
		} else {
			out.WriteString(text[s.start:s.end])
		}
	}
	return out.String(), nil
}

// lowered are the characters whose lower case the library knows and Go's tables do not.
var lowered = []struct {
	first, last rune
	by          rune
}{{0x1C89, 0x1C89, 1}, {0xA7CB, 0xA7CB, 0x264 - 0xA7CB}, {0xA7CC, 0xA7CC, 1}, {0xA7CE, 0xA7CE, 1}, {0xA7D2, 0xA7D2, 1}, {0xA7D4, 0xA7D4, 1},
	{0xA7DA, 0xA7DA, 1}, {0xA7DC, 0xA7DC, 0x19B - 0xA7DC}, {0x10D50, 0x10D65, 0x20}, {0x16EA0, 0x16EB8, 0x1B}}

// lowercase maps each character by itself: a final sigma is as any other.
func lowercase(text string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if r < 0x1C89 {
			return r
		}
		for _, l := range lowered {
			if r >= l.first && r <= l.last {
				return r + l.by
			}
		}
		return r
	}, strings.ReplaceAll(text, "\u0130", "i\u0307")))
}

func stripCombining(text string) string { return without(text, rustCombining) }

// without drops the characters for which a bit of rustTable is set.
func without(text string, bit byte) string {
	table := rustTable().values
	return strings.Map(func(r rune) rune {
		if table[r]&bit != 0 {
			return -1
		}
		return r
	}, text)
}

// nmt is the clean-up of SentencePiece's nmt_ rules.
func nmt(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 1 && r <= 8, r == 0x0B, r >= 0x0E && r <= 0x1F, r == 0x7F, r == 0x8F, r == 0x9F:
			return -1
		case r == '\t', r == '\n', r == '\f', r == '\r', r == 0x1680, r >= 0x200B && r <= 0x200F, r == 0x2028, r == 0x2029,
			r == 0x2581, r == 0xFEFF, r == utf8.RuneError:
			return ' '
		}
		return r
	}, text)
}

// bertNormalizer is the normalisation of BERT's models.
type bertNormalizer struct{ clean, chinese, strip, lower bool }

func (c *component) bertNormalizer(where string) (normalizer, error) {
	if c.CleanText == nil || c.HandleChineseChars == nil || c.Lowercase == nil {
		return nil, invalid("%s lacks one of clean_text, handle_chinese_chars and lowercase", where)
	}
	b := bertNormalizer{clean: *c.CleanText, chinese: *c.HandleChineseChars, strip: *c.Lowercase, lower: *c.Lowercase}
	if c.StripAccents != nil {
		b.strip = *c.StripAccents
	}
	return b, nil
}

func (b bertNormalizer) normalize(text string) (string, error) {
	if b.clean {
		text = strings.Map(func(r rune) rune {
			if isSpace(r) {
				return ' '
			}
			return r
		}, without(text, rustControl))
	}
	if b.chinese {
		text = spaceChinese(text)
	}
	if b.strip {
		text = without(normalForms["NFD"].apply(text), rustNonspacing)
	}
	if b.lower {
		text = lowercase(text)
	}
	return text, nil
}

// chinese are the characters around which BERT puts spaces. The library's ranges are not those of Unicode's blocks.
var chinese = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x3400, Hi: 0x4DBF, Stride: 1}, {Lo: 0x4E00, Hi: 0x9FFF, Stride: 1}, {Lo: 0xF900, Hi: 0xFAFF, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x20000, Hi: 0x2A6DF, Stride: 1}, {Lo: 0x2A700, Hi: 0x2B73F, Stride: 1}, {Lo: 0x2B740, Hi: 0x2B81F, Stride: 1},
		{Lo: 0x2B920, Hi: 0x2CEAF, Stride: 1}, {Lo: 0x2F800, Hi: 0x2FA1F, Stride: 1}},
}

func spaceChinese(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return unicode.Is(chinese, r) }) < 0 {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if unicode.Is(chinese, r) {
			out.WriteByte(' ')
			out.WriteRune(r)
			out.WriteByte(' ')
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}
