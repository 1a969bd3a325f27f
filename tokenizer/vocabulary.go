package tokenizer

// vocabulary maps tokens to ids and back. Ids may have holes.
type vocabulary struct {
	ids    map[string]int32
	tokens []string
	used   []bool
}

// maxID bounds ids by the number of tokens, so that a small file cannot ask for a huge table.
func maxID(tokens int) int64 { return 1<<16 + 16*int64(tokens) }

func newVocabulary(n int) *vocabulary {
	return &vocabulary{ids: make(map[string]int32, n), tokens: make([]string, 0, n), used: make([]bool, 0, n)}
}

// add puts a token at an id. limit is the greatest id allowed.
func (v *vocabulary) add(token string, id, limit int64) error {
	if id < 0 || id > limit {
		return invalid("token %q has id %d, allowed are 0 to %d", token, id, limit)
	}
	for int64(len(v.tokens)) <= id {
		v.tokens = append(v.tokens, "")
		v.used = append(v.used, false)
	}
	if v.used[id] {
		return invalid("tokens %q and %q both have id %d", v.tokens[id], token, id)
	}
	v.tokens[id], v.used[id] = token, true
	v.ids[token] = int32(id)
	return nil
}

func (v *vocabulary) token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(v.tokens) || !v.used[id] {
		return "", false
	}
	return v.tokens[id], true
}

// size is the highest id plus one.
func (v *vocabulary) size() int { return len(v.tokens) }
