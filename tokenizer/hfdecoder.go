package tokenizer

import (
	"slices"
	"strings"
	"sync"
)

// hfDecoding is the decoder of a tokenizer.json: what its steps make of each token by itself is worked out for
// all tokens when the first text is decoded, the other steps are done on the way.
type hfDecoding struct {
	vocab  *vocabulary
	shown  map[int32]string // added tokens that decode to something else than their content
	each   []func(token string) string
	stages []func(next decodeStage) decodeStage
	texts  func() []string // by id, by each
}

func newHFDecoding(raw string, vocab *vocabulary, shown map[int32]string) (*hfDecoding, error) {
	parts, err := flatten(raw, "decoder", "decoders", 0)
	if err != nil {
		return nil, err
	}
	d := &hfDecoding{vocab: vocab, shown: shown}
	if raw == "" || raw == "null" {
		d.stages = append(d.stages, func(next decodeStage) decodeStage { return &joinStage{next: next} })
	}
	for _, c := range parts {
		each, stage, err := c.decoder()
		if err != nil {
			return nil, err
		}
		switch {
		case stage == nil && len(d.stages) == 0:
			d.each = append(d.each, each)
			continue
		case c.Type == "ByteLevel" && len(d.stages) == 0:
			d.each = append(d.each, each)
		case each != nil:
			d.stages = append(d.stages, func(next decodeStage) decodeStage { return c.eachStage(next, each) })
		}
		if stage != nil {
			d.stages = append(d.stages, stage)
		}
	}
	d.texts = sync.OnceValue(d.work)
	return d, nil
}

// eachStage does what each does for tokens that come in parts.
func (c *component) eachStage(next decodeStage, each func(string) string) decodeStage {
	if c.Type == "Replace" && c.Pattern != nil && c.Pattern.String != nil && *c.Pattern.String != "" {
		return &replaceStage{next: next, replacement: replacement{old: *c.Pattern.String, new: *c.Content}}
	}
	return &mapStage{next: next, rewrite: each}
}

// work returns the text of each token.
func (d *hfDecoding) work() []string {
	texts := d.vocab.tokens
	if len(d.each) > 0 || len(d.shown) > 0 {
		texts = slices.Clone(texts)
	}
	for id, s := range d.shown {
		texts[id] = s
	}
	for _, f := range d.each {
		for id, s := range texts {
			texts[id] = f(s)
		}
	}
	return texts
}

// decoder returns what a component does with each token by itself, and what it does with the sequence; one
// of them may be nil.
func (c *component) decoder() (each func(string) string, stage func(next decodeStage) decodeStage, err error) {
	where := "decoder " + c.Type
	switch c.Type {
	case "ByteLevel":
		return byteLevelText, func(next decodeStage) decodeStage { return &lossyStage{next: next} }, nil
	case "Replace":
		if c.Pattern == nil || c.Content == nil {
			return nil, nil, invalid("%s lacks pattern or content", where)
		}
		p, err := c.Pattern.compile(where)
		return decodeReplace(replaceAll{p, *c.Content}), nil, err
	case "ByteFallback":
		return nil, func(next decodeStage) decodeStage { return &byteFallbackStage{next: next} }, nil
	case "Fuse":
		return nil, func(next decodeStage) decodeStage { return &fuseStage{next: next} }, nil
	case "Strip":
		return c.strip(where)
	case "Metaspace":
		m, err := c.metaspaceOptions(where)
		return nil, func(next decodeStage) decodeStage {
			return &metaspaceStage{next: next, symbol: m.symbol, drop: m.scheme != "never"}
		}, err
	case "WordPiece":
		if c.Prefix == nil || c.Cleanup == nil {
			return nil, nil, invalid("%s lacks prefix or cleanup", where)
		}
		return nil, func(next decodeStage) decodeStage {
			return &wordPieceStage{next: next, prefix: *c.Prefix, cleanup: *c.Cleanup}
		}, nil
	case "BPEDecoder":
		if c.Suffix == nil {
			return nil, nil, invalid("%s lacks suffix", where)
		}
		return nil, func(next decodeStage) decodeStage { return &suffixStage{next: next, suffix: *c.Suffix} }, nil
	case "CTC":
		if c.PadToken == nil || c.WordDelimiter == nil || c.Cleanup == nil {
			return nil, nil, invalid("%s lacks one of pad_token, word_delimiter_token and cleanup", where)
		}
		return nil, func(next decodeStage) decodeStage {
			return &ctcStage{next: next, pad: *c.PadToken, delimiter: *c.WordDelimiter, cleanup: *c.Cleanup}
		}, nil
	}
	return nil, nil, unsupported("decoder %s in tokenizer.json", c.Type)
}

func (c *component) strip(where string) (func(string) string, func(decodeStage) decodeStage, error) {
	content, err := oneCharacter(c.Content, where, "content")
	if err != nil {
		return nil, nil, err
	}
	if c.Start == nil || c.Stop == nil || *c.Start < 0 || *c.Stop < 0 {
		return nil, nil, invalid("%s needs start and stop, both 0 or more", where)
	}
	start, stop := int(min(*c.Start, 1<<30)), int(min(*c.Stop, 1<<30))
	if stop > 0 {
		return stripBoth(string(content), start, stop), nil, nil
	}
	return nil, func(next decodeStage) decodeStage {
		return &stripStage{next: next, content: string(content), start: start}
	}, nil
}

// byteLevelText returns the bytes that a token spells, or the token.
func byteLevelText(token string) string {
	raw, _ := appendByteLevelDecoded(make([]byte, 0, 64), token)
	if len(raw) == 0 {
		return token
	}
	return string(raw)
}

// decodeReplace leaves a token as it is whose replacement takes too many steps: decoding has no errors.
func decodeReplace(r replaceAll) func(string) string {
	return func(token string) string {
		if token == "" {
			return ""
		}
		if out, err := r.normalize(token); err == nil {
			return out
		}
		return strings.Clone(token)
	}
}

func (d *hfDecoding) newState() decodeState {
	s := &hfState{texts: d.texts()}
	s.first = &s.out
	for _, stage := range slices.Backward(d.stages) {
		s.first = stage(s.first)
	}
	return s
}

// hfState runs tokens through the stages.
type hfState struct {
	texts []string
	first decodeStage
	out   decodeOutput
}

func (s *hfState) add(dst []byte, id int32, _ bool) []byte {
	s.out.text = dst
	s.first.write(s.texts[id], true)
	return s.out.text
}

func (s *hfState) flush(dst []byte) []byte {
	s.out.text = dst
	s.first.flush()
	return s.out.text
}
