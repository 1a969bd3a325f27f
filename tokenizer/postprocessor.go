package tokenizer

import (
	"encoding/json"
	"slices"
)

// textMark stands for a text in what a post-processor makes of it: the first and the second of a pair.
const (
	firstText  int32 = -1
	secondText int32 = -2
)

// postProcessor puts ids around encoded texts. It takes and gives lists of texts, since the library's
// processors hand such lists on to one another; each is a list of ids and marks.
type postProcessor interface {
	process(texts [][]int32) ([][]int32, error)
}

// parsePostProcessor reads what goes before and behind a single text; pair forms are read and checked, and
// not used: there is no way to encode a pair.
func parsePostProcessor(raw string) (prefix, suffix []int32, err error) {
	parts, err := flatten(raw, "post_processor", "processors", 0)
	if err != nil {
		return nil, nil, err
	}
	texts := [][]int32{{firstText}}
	for _, c := range parts {
		p, err := c.postProcessor()
		if err != nil {
			return nil, nil, err
		}
		if p == nil {
			continue
		}
		if texts, err = p.process(texts); err != nil {
			return nil, nil, err
		}
	}
	all := slices.Concat(texts...)
	at := slices.Index(all, firstText)
	if at < 0 {
		return nil, nil, invalid("post_processor drops the text: its single form has no sequence A")
	}
	if slices.Contains(all[at+1:], firstText) {
		return nil, nil, unsupported("post_processor that repeats the text")
	}
	return all[:at], all[at+1:], nil
}

// postProcessor returns nil for one that changes nothing but offsets.
func (c *component) postProcessor() (postProcessor, error) {
	switch c.Type {
	case "ByteLevel":
		return nil, nil
	case "TemplateProcessing":
		return c.template()
	case "BertProcessing", "RobertaProcessing":
		cls, err1 := tokenAndID(c.Cls)
		sep, err2 := tokenAndID(c.Sep)
		if err1 != nil || err2 != nil {
			return nil, invalid("post_processor %s: cls and sep must each be a token and an id", c.Type)
		}
		return surround{cls: cls, sep: sep, twice: c.Type == "RobertaProcessing"}, nil
	}
	return nil, unsupported("post_processor %s in tokenizer.json", c.Type)
}

func tokenAndID(raw json.RawMessage) (id int32, err error) {
	var token string
	pair := []any{&token, &id}
	if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 || id < 0 {
		return 0, invalid("not a token and an id")
	}
	return id, nil
}

// surround is BERT's and RoBERTa's way: cls before the first text, sep behind each, RoBERTa's also before the
// second.
type surround struct {
	cls, sep int32
	twice    bool
}

func (s surround) process(texts [][]int32) ([][]int32, error) {
	out := make([][]int32, len(texts))
	for i, t := range texts {
		if i == 0 {
			out[i] = append(out[i], s.cls)
		} else if s.twice {
			out[i] = append(out[i], s.sep)
		}
		out[i] = append(append(out[i], t...), s.sep)
	}
	return out, nil
}

// templatePiece is {"Sequence": {"id": "A"}} or {"SpecialToken": {"id": "<s>"}}.
type templatePiece struct {
	Sequence     *templateID
	SpecialToken *templateID
}

type templateID struct {
	ID string `json:"id"`
}

type templateSpecials struct {
	IDs    []int64  `json:"ids"`
	Tokens []string `json:"tokens"`
}

// template is TemplateProcessing: marks and ids in order, for one text and for two.
type template struct{ single, pair []templatePart }

// templatePart is a mark or the ids of a special token.
type templatePart []int32

func (c *component) template() (postProcessor, error) {
	if len(c.Single) == 0 {
		return nil, invalid("post_processor TemplateProcessing has no single form")
	}
	single, err := c.templateParts(c.Single, "single")
	if err != nil {
		return nil, err
	}
	pair, err := c.templateParts(c.Pair, "pair")
	if err != nil {
		return nil, err
	}
	return &template{single, pair}, nil
}

func (c *component) templateParts(pieces []templatePiece, form string) ([]templatePart, error) {
	var parts []templatePart
	for i, p := range pieces {
		switch {
		case p.Sequence != nil && p.SpecialToken == nil:
			mark, ok := map[string]int32{"A": firstText, "B": secondText}[p.Sequence.ID]
			if !ok || mark == secondText && form == "single" {
				return nil, invalid("post_processor TemplateProcessing: its %s form has the sequence %q", form, p.Sequence.ID)
			}
			parts = append(parts, templatePart{mark})
		case p.SpecialToken != nil && p.Sequence == nil:
			name := p.SpecialToken.ID
			special, ok := c.SpecialTokens[name]
			if !ok {
				return nil, invalid("post_processor adds %q but special_tokens does not list it", name)
			}
			ids := templatePart{}
			for _, id := range special.IDs {
				if id < 0 || id > 1<<31-1 {
					return nil, invalid("post_processor adds %q with id %d", name, id)
				}
				ids = append(ids, int32(id))
			}
			parts = append(parts, ids)
		default:
			return nil, invalid("post_processor TemplateProcessing: piece %d of its %s form is neither a Sequence nor a SpecialToken", i+1, form)
		}
	}
	return parts, nil
}

func (t *template) process(texts [][]int32) ([][]int32, error) {
	parts := t.single
	if len(texts) == 2 {
		parts = t.pair
	}
	if len(texts) > 2 || len(parts) == 0 {
		return nil, unsupported("post_processor TemplateProcessing behind one that makes %d parts of a text", len(texts))
	}
	out := make([][]int32, len(parts))
	for i, p := range parts {
		switch {
		case len(p) == 1 && p[0] == firstText:
			out[i] = texts[0]
		case len(p) == 1 && p[0] == secondText:
			out[i] = texts[1]
		default:
			out[i] = p
		}
	}
	return out, nil
}
