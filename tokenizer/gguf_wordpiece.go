package tokenizer

import "strings"

// wordPieceJSON writes the tokenizer.json of a bert vocabulary. GGUF spells the beginning of a word with ▁ and
// leaves out the ## of what continues one; the file has it the other way.
func (g *ggufVocabulary) wordPieceJSON() ([]byte, error) {
	unk, cls, sep := g.id("unknown"), g.id("cls"), g.id("seperator")
	if cls < 0 {
		cls = g.id("bos")
	}
	if unk < 0 || cls < 0 || sep < 0 {
		return nil, invalid("GGUF: a bert vocabulary needs unknown_token_id, cls_token_id and seperator_token_id, "+
			"of which %d, %d and %d are here (-1 for none)", unk, cls, sep)
	}
	tokens := make([]string, len(g.tokens))
	for i, token := range g.tokens {
		tokens[i] = token
		if kind := g.kind(int64(i)); kind != 0 && kind != ggufNormal {
			continue
		}
		if word, ok := strings.CutPrefix(token, spaceSymbol); ok {
			tokens[i] = word
		} else {
			tokens[i] = "##" + token
		}
	}
	lower := g.flag("normalizer.lowercase", true)
	special := func(id int64) object { return object{"SpecialToken": object{"id": g.tokens[id], "type_id": 0}} }
	text := func(name string, typeID int) object {
		return object{"Sequence": object{"id": name, "type_id": typeID}}
	}
	specials := object{}
	for _, id := range []int64{cls, sep} {
		specials[g.tokens[id]] = object{"id": g.tokens[id], "ids": []int64{id}, "tokens": []string{g.tokens[id]}}
	}
	return marshal(object{"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": g.added(),
		"normalizer":    object{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": nil, "lowercase": lower},
		"pre_tokenizer": object{"type": "BertPreTokenizer"},
		"post_processor": object{"type": "TemplateProcessing", "special_tokens": specials,
			"single": []object{special(cls), text("A", 0), special(sep)},
			"pair":   []object{special(cls), text("A", 0), special(sep), text("B", 1), special(sep)}},
		"decoder": object{"type": "WordPiece", "prefix": "##", "cleanup": true},
		"model": object{"type": "WordPiece", "unk_token": g.tokens[unk], "continuing_subword_prefix": "##",
			"max_input_chars_per_word": 100, "vocab": orderedVocab(tokens)}})
}
