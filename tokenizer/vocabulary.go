package tokenizer

import "hash/maphash"

// vocabulary maps tokens to ids and back. Ids may have holes.
type vocabulary struct {
	tokens []string
	used   []bool
	// slots is an open-addressing hash table of ids plus one, 0 for a free slot: a Go map of the same
	// strings takes three times the time to fill and twice the memory.
	slots  []int32
	count  int              // different tokens
	added  map[string]int32 // tokens that the model does not know
	listed int              // entries of a file that may list a token twice; 0: as many as count
}

// hashSeed makes the places in hash tables differ from process to process, so that no file can choose them.
var hashSeed = maphash.MakeSeed()

// maxID bounds ids by the number of tokens, so that a small file cannot ask for a huge table.
func maxID(tokens int) int64 { return 1<<16 + 16*int64(tokens) }

func newVocabulary(n int) *vocabulary {
	v := &vocabulary{tokens: make([]string, 0, n), used: make([]bool, 0, n)}
	v.grow(n)
	return v
}

// grow makes room for n tokens at a load of at most one half.
func (v *vocabulary) grow(n int) {
	size := 16
	for size < 2*n {
		size *= 2
	}
	old := v.slots
	v.slots = make([]int32, size)
	for _, s := range old {
		if s != 0 {
			*v.slot(v.tokens[s-1]) = s
		}
	}
}

// slot returns the place of a token in the table, or the free one where it belongs.
func (v *vocabulary) slot(token string) *int32 {
	mask := uint64(len(v.slots) - 1)
	for i := maphash.String(hashSeed, token) & mask; ; i = (i + 1) & mask {
		if s := v.slots[i]; s == 0 || v.tokens[s-1] == token {
			return &v.slots[i]
		}
	}
}

// place puts a token at an id. limit is the greatest id allowed.
func (v *vocabulary) place(token string, id, limit int64) error {
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
	return nil
}

// addBeside puts a token that the model does not know at an id: id does not find it, lookUp does.
func (v *vocabulary) addBeside(token string, id, limit int64) error {
	if v.added == nil {
		v.added = make(map[string]int32)
	}
	v.added[token] = int32(id)
	return v.place(token, id, limit)
}

// lookUp returns the id of a token, be it the model's or added beside it.
func (v *vocabulary) lookUp(token string) (int32, bool) {
	if id, ok := v.id(token); ok {
		return id, true
	}
	id, ok := v.added[token]
	return id, ok
}

// add puts a token of the model at an id. Of two ids with the same token the later one is the token's.
func (v *vocabulary) add(token string, id, limit int64) error {
	if err := v.place(token, id, limit); err != nil {
		return err
	}
	if 2*(v.count+1) > len(v.slots) {
		v.grow(2 * (v.count + 1))
	}
	s := v.slot(token)
	if *s == 0 {
		v.count++
	}
	*s = int32(id) + 1
	return nil
}

// newVocabularyOf makes the vocabulary of tokens in order of id, which are then to be claimed.
func newVocabularyOf(tokens []string) *vocabulary {
	v := &vocabulary{tokens: tokens, used: make([]bool, len(tokens))}
	v.grow(len(tokens))
	return v
}

// claim makes a token find its id and returns the id that it found until then, or -1.
func (v *vocabulary) claim(id int32) (old int32) {
	s := v.slot(v.tokens[id])
	old = *s - 1
	if old < 0 {
		v.count++
	}
	*s, v.used[id] = id+1, true
	return old
}

// id returns the id of a token of the model.
func (v *vocabulary) id(token string) (int32, bool) {
	s := *v.slot(token)
	return s - 1, s != 0
}

// idOfBytes is id of a token that is not worth making a string of.
func (v *vocabulary) idOfBytes(token []byte) (int32, bool) {
	mask := uint64(len(v.slots) - 1)
	for i := maphash.Bytes(hashSeed, token) & mask; ; i = (i + 1) & mask {
		if s := v.slots[i]; s == 0 || v.tokens[s-1] == string(token) {
			return s - 1, s != 0
		}
	}
}

func (v *vocabulary) token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(v.tokens) || !v.used[id] {
		return "", false
	}
	return v.tokens[id], true
}

// entries is how many tokens the file listed.
func (v *vocabulary) entries() int { return max(v.count, v.listed) }

// size is the highest id plus one.
func (v *vocabulary) size() int { return len(v.tokens) }
