package tokenizer

import "encoding/json"

// component is a node of a normalizer, pre_tokenizer, post_processor or decoder: all members of all kinds.
type component struct {
	Type             string       `json:"type"`
	AddPrefixSpace   *bool        `json:"add_prefix_space"`
	UseRegex         *bool        `json:"use_regex"`
	IndividualDigits *bool        `json:"individual_digits"`
	Pattern          *patternJSON `json:"pattern"`
	Behavior         *string      `json:"behavior"`
	Invert           *bool        `json:"invert"`
	Delimiter        *string      `json:"delimiter"`
	Length           *int64       `json:"length"`
	Replacement      *string      `json:"replacement"`
	PrependScheme    *string      `json:"prepend_scheme"`
	Split            *bool        `json:"split"`

	Prepend            *string         `json:"prepend"`
	StripLeft          *bool           `json:"strip_left"`
	StripRight         *bool           `json:"strip_right"`
	CleanText          *bool           `json:"clean_text"`
	HandleChineseChars *bool           `json:"handle_chinese_chars"`
	StripAccents       *bool           `json:"strip_accents"`
	Lowercase          *bool           `json:"lowercase"`
	PrecompiledMap     *string         `json:"precompiled_charsmap"`
	Content            *string         `json:"content"`
	Start              *int64          `json:"start"`
	Stop               *int64          `json:"stop"`
	Prefix             *string         `json:"prefix"`
	Suffix             *string         `json:"suffix"`
	Cleanup            *bool           `json:"cleanup"`
	PadToken           *string         `json:"pad_token"`
	WordDelimiter      *string         `json:"word_delimiter_token"`
	Sep                json.RawMessage `json:"sep"`
	Cls                json.RawMessage `json:"cls"`

	Single        []templatePiece             `json:"single"`
	Pair          []templatePiece             `json:"pair"`
	SpecialTokens map[string]templateSpecials `json:"special_tokens"`
}

// maxDepth bounds the nesting of Sequence components.
const maxDepth = 16

// flatten returns the components of raw in order, Sequences opened; parts is the member that holds theirs.
func flatten(raw, where, parts string, depth int) ([]*component, error) {
	if raw == "" || raw == "null" {
		return nil, nil
	}
	if depth > maxDepth {
		return nil, invalid("%s is nested more than %d deep", where, maxDepth)
	}
	members, err := scanObject(raw)
	if err != nil {
		return nil, invalid("%s: %v", where, err)
	}
	if members["type"] != `"Sequence"` {
		c := &component{}
		if err := json.Unmarshal([]byte(raw), c); err != nil {
			return nil, invalid("%s: %v", where, err)
		}
		return []*component{c}, nil
	}
	list, ok := members[parts]
	if !ok {
		return nil, invalid("%s: a Sequence has no %s", where, parts)
	}
	var texts []string
	s := &jsonScanner{text: list}
	err = s.array(func() error {
		text, err := s.value()
		texts = append(texts, text)
		return err
	})
	if err != nil {
		return nil, invalid("%s: %v", where, err)
	}
	var out []*component
	for _, text := range texts {
		inner, err := flatten(text, where, parts, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}
