package tokenizer

import "hash/maphash"

// vocabulary maps tokens to ids and back. Ids may have holes.
type vocabulary struct {
	tokens []string
	used   []bool
	// slots is an open-addressing hash table: a Go map of the same strings takes three times the time to
	// fill and twice the memory.
	slots  []vocabularySlot
	count  int              // different tokens
	added  map[string]int32 // tokens that the model does not know
	listed int              // entries of a file that may list a token twice; 0: as many as count
}

// vocabularySlot is an id plus one, 0 in a free slot, and a part of its token's hash, which tells most other
// strings apart without a look at the token.
type vocabularySlot struct {
	id  int32
	tag uint32
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
	v.slots = make([]vocabularySlot, size)
	for _, s := range old {
		if s.id != 0 {
			free, _ := v.slot(v.tokens[s.id-1])
			*free = s
		}
	}
}

// slot returns the place of a token in the table, or the free one where it belongs, and the token's tag.
func (v *vocabulary) slot(token string) (s *vocabularySlot, tag uint32) {
	mask, hash := uint64(len(v.slots)-1), maphash.String(hashSeed, token)
	tag = uint32(hash >> 32)
	for i := hash & mask; ; i = (i + 1) & mask {
		s = &v.slots[i]
		if s.id == 0 || s.tag == tag && v.tokens[s.id-1] == token {
			return s, tag
		}
	}
}

// take makes a token find an id and returns the id that it found until then, or -1.
func (v *vocabulary) take(token string, id int32) (old int32) {
	s, tag := v.slot(token)
	old = s.id - 1
	if old < 0 {
		v.count++
	}
	*s = vocabularySlot{id + 1, tag}
	return old
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
	v.take(token, int32(id))
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
	v.used[id] = true
	return v.take(v.tokens[id], id)
}

// id returns the id of a token of the model.
func (v *vocabulary) id(token string) (int32, bool) {
	s, _ := v.slot(token)
	return s.id - 1, s.id != 0
}

// idOfBytes is id of a token that is not worth making a string of.
func (v *vocabulary) idOfBytes(token []byte) (int32, bool) {
	mask, hash := uint64(len(v.slots)-1), maphash.Bytes(hashSeed, token)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := v.slots[i]
		if s.id == 0 || s.tag == uint32(hash>>32) && v.tokens[s.id-1] == string(token) {
			return s.id - 1, s.id != 0
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
