package tokenizer

import (
	"encoding/json"
	"strings"
)

// byteLevelEncoder is byte-level BPE behind its pre-tokenisers.
type byteLevelEncoder struct {
	model *bpe
	// splits run one after the other, each on the pieces of the one before.
	splits []splitter
	// spaceAt is the stage before which a piece that lacks a leading space gets one
	// (ByteLevel's add_prefix_space); -1 for none.
	spaceAt int
}

// parsePreTokenizer accepts any number of Split and Digits, then one ByteLevel.
func (e *byteLevelEncoder) parsePreTokenizer(raw json.RawMessage) error {
	parts, err := flatten(raw, "pre_tokenizer", 0)
	if err != nil {
		return err
	}
	e.spaceAt = -1
	byteLevel := false
	for _, c := range parts {
		if byteLevel {
			return unsupported("pre_tokenizer %s after ByteLevel in tokenizer.json", c.Type)
		}
		switch c.Type {
		case "Split":
			s, err := splitOf(c)
			if err != nil {
				return err
			}
			e.splits = append(e.splits, s)
		case "Digits":
			if c.IndividualDigit {
				e.splits = append(e.splits, splitDigits)
			} else {
				e.splits = append(e.splits, splitNumbers)
			}
		case "ByteLevel":
			byteLevel = true
			if c.AddPrefixSpace == nil || *c.AddPrefixSpace {
				e.spaceAt = len(e.splits)
			}
			if c.UseRegex == nil || *c.UseRegex {
				e.splits = append(e.splits, splitGPT2)
			}
		default:
			return unsupported("pre_tokenizer %s in tokenizer.json", c.Type)
		}
	}
	if !byteLevel {
		return unsupported("model BPE without the ByteLevel pre_tokenizer (SentencePiece written as tokenizer.json, or a character vocabulary)")
	}
	return nil
}

func splitOf(c component) (splitter, error) {
	if c.Pattern.Regex == nil {
		return nil, unsupported("pre_tokenizer Split at a string in tokenizer.json")
	}
	s, ok := knownPatterns[*c.Pattern.Regex]
	if !ok {
		return nil, unsupported("pre_tokenizer Split with the pattern %q", *c.Pattern.Regex)
	}
	// Every known pattern covers all text, so removing what does not match keeps everything.
	if c.Behavior == "Isolated" || c.Behavior == "Removed" && c.Invert {
		return s, nil
	}
	return nil, unsupported("pre_tokenizer Split with behavior %q, invert %v", c.Behavior, c.Invert)
}

// encode appends the ids of text, which is valid UTF-8 and holds no added token.
func (e *byteLevelEncoder) encode(dst []int32, text string, _ bool) ([]int32, error) {
	return e.stage(dst, classTable(), text, 0), nil
}

func (e *byteLevelEncoder) stage(dst []int32, table []byte, text string, stage int) []int32 {
	if text == "" {
		return dst
	}
	if stage == e.spaceAt && !strings.HasPrefix(text, " ") {
		text = " " + text
	}
	if stage == len(e.splits) {
		return e.model.encode(dst, text)
	}
	split := e.splits[stage]
	for i := 0; i < len(text); {
		end := split(table, text, i)
		dst = e.stage(dst, table, text[i:end], stage+1)
		i = end
	}
	return dst
}

// byteLevelBytes is what each token decodes to, by id.
type byteLevelBytes []string

func newByteLevelBytes(v *vocabulary) byteLevelBytes {
	raw := make([]string, len(v.tokens))
	for id, token := range v.tokens {
		raw[id], _ = byteLevelDecode(token)
	}
	return raw
}

func (raw byteLevelBytes) newState() decodeState { return &byteLevelState{raw: raw} }

// byteLevelState decodes byte-level tokens; pending is the start of an unfinished character.
type byteLevelState struct {
	raw     byteLevelBytes
	pending []byte
}

func (s *byteLevelState) add(dst []byte, id int32, _ bool) []byte {
	s.pending = append(s.pending, s.raw[id]...)
	return s.drain(dst, false)
}

func (s *byteLevelState) flush(dst []byte) []byte { return s.drain(dst, true) }

func (s *byteLevelState) drain(dst []byte, final bool) []byte {
	dst, rest := appendLossy(dst, s.pending, final)
	s.pending = append(s.pending[:0], rest...)
	return dst
}

func checkByteLevelDecoder(raw json.RawMessage) error {
	parts, err := flatten(raw, "decoder", 0)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return unsupported("tokenizer.json without a decoder")
	}
	for _, c := range parts {
		if c.Type != "ByteLevel" {
			return unsupported("decoder %s in tokenizer.json", c.Type)
		}
	}
	if len(parts) > 1 {
		return unsupported("more than one ByteLevel decoder in tokenizer.json")
	}
	return nil
}
