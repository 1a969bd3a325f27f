package tokenizer

// Summary tells what a tokenizer is and what it does to a text, for people and their tools.
type Summary struct {
	// Kind is the model: "byte-level BPE", "BPE", "Unigram", "WordPiece", "WordLevel", or for a
	// SentencePiece file "SentencePiece BPE", and so on.
	Kind string `json:"kind"`
	// VocabSize is the highest id plus one.
	VocabSize int `json:"vocab_size"`
	// Before and After are the tokens that EncodeOptions.AddSpecialTokens puts around a text.
	Before []string `json:"before"`
	After  []string `json:"after"`
	// EndIDs end a generation.
	EndIDs []int32 `json:"end_ids"`
	// SpecialTokens is how many tokens are special.
	SpecialTokens int `json:"special_tokens"`
	// ParsedInText is how many of those their spelling in a text gives, unless
	// EncodeOptions.PlainSpecialTokens is set.
	ParsedInText int  `json:"parsed_in_text"`
	ChatTemplate bool `json:"chat_template"`
}

// Summary describes the tokenizer.
func (t *Tokenizer) Summary() Summary {
	s := Summary{Kind: kindOf(t.encoder), VocabSize: t.VocabSize(), Before: t.spellings(t.prefix), After: t.spellings(t.suffix),
		EndIDs: append([]int32{}, t.eos...), ChatTemplate: t.HasChatTemplate()}
	for id := range int32(t.VocabSize()) {
		if !t.isSpecial(id) {
			continue
		}
		s.SpecialTokens++
		if t.added.isSpecial(id) {
			s.ParsedInText++
		}
	}
	return s
}

func (t *Tokenizer) spellings(ids []int32) []string {
	list := []string{}
	for _, id := range ids {
		token, _ := t.vocab.token(id)
		list = append(list, token)
	}
	return list
}

// spModelTypes are the names of SentencePiece's model types.
var spModelTypes = map[uint64]string{modelUnigram: "Unigram", modelBPE: "BPE", modelWord: "word", modelChar: "char"}

func kindOf(e encoder) string {
	switch e := e.(type) {
	case *sentencePiece:
		return "SentencePiece " + spModelTypes[e.model.modelType]
	case *pipeline:
		switch m := e.model.(type) {
		case *bpe:
			if m.byteLevel {
				return "byte-level BPE"
			}
			return "BPE"
		case *hfUnigram:
			return "Unigram"
		case *wordPiece:
			return "WordPiece"
		case *wordLevel:
			return "WordLevel"
		}
	}
	return "unknown"
}
