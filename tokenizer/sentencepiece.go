package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Piece types of sentencepiece_model.proto.
const (
	pieceNormal      = 1
	pieceUnknown     = 2
	pieceControl     = 3
	pieceUserDefined = 4
	pieceUnused      = 5
	pieceByte        = 6
)

const spaceSymbol = "\u2581" // ▁ stands for a space inside pieces

// spPiece is an entry of the vocabulary; its place in the file is its id.
type spPiece struct {
	text  string
	score float32
	kind  uint64
}

// spModel is a SentencePiece ModelProto, as far as encoding and decoding need it. The defaults
// are the proto's.
type spModel struct {
	pieces []spPiece

	modelType                  uint64 // 1 Unigram, 2 BPE, 3 word, 4 char
	byteFallback               bool
	whitespaceAsSuffix         bool
	unkPiece, bosPiece         string
	eosPiece, padPiece         string
	unkSurface                 string
	charsMap                   []byte
	dummyPrefix, collapseSpace bool // add_dummy_prefix, remove_extra_whitespaces
	escapeSpace                bool // escape_whitespaces
	denormalizes               bool
}

// parseSPModel reads the wire format.
func parseSPModel(data []byte) (*spModel, error) {
	m := &spModel{modelType: 1, unkPiece: "<unk>", bosPiece: "<s>", eosPiece: "</s>", padPiece: "<pad>",
		unkSurface: " \u2047 ", dummyPrefix: true, collapseSpace: true, escapeSpace: true}
	r := wireReader{data: data, where: "ModelProto"}
	for {
		f, ok, err := r.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			return m, nil
		}
		if f.tag < 1 || f.tag > 5 || f.tag == 4 {
			continue
		}
		if err := f.expect(wireBytes, "ModelProto"); err != nil {
			return nil, err
		}
		switch f.tag {
		case 1:
			err = m.parsePiece(f.bytes)
		case 2:
			err = m.parseTrainer(f.bytes)
		case 3:
			err = m.parseNormalizer(f.bytes)
		case 5:
			err = m.parseDenormalizer(f.bytes)
		}
		if err != nil {
			return nil, err
		}
	}
}

// fields calls set for each field of a message; want gives the wire type of the known fields.
func fields(data []byte, where string, want map[uint64]uint64, set func(wireField)) error {
	r := wireReader{data: data, where: where}
	for {
		f, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		wire, known := want[f.tag]
		if !known {
			continue
		}
		if err := f.expect(wire, where); err != nil {
			return err
		}
		set(f)
	}
}

var pieceFields = map[uint64]uint64{1: wireBytes, 2: wireFixed32, 3: wireVarint}

func (m *spModel) parsePiece(data []byte) error {
	p := spPiece{kind: pieceNormal}
	err := fields(data, "SentencePiece", pieceFields, func(f wireField) {
		switch f.tag {
		case 1:
			p.text = string(f.bytes)
		case 2:
			p.score = f.float()
		case 3:
			p.kind = f.number
		}
	})
	if err != nil {
		return err
	}
	m.pieces = append(m.pieces, p)
	return nil
}

var trainerFields = map[uint64]uint64{3: wireVarint, 24: wireVarint, 35: wireVarint, 44: wireBytes,
	45: wireBytes, 46: wireBytes, 47: wireBytes, 48: wireBytes}

func (m *spModel) parseTrainer(data []byte) error {
	return fields(data, "TrainerSpec", trainerFields, func(f wireField) {
		switch f.tag {
		case 3:
			m.modelType = f.number
		case 24:
			m.whitespaceAsSuffix = f.bool()
		case 35:
			m.byteFallback = f.bool()
		case 44:
			m.unkSurface = string(f.bytes)
		case 45:
			m.unkPiece = string(f.bytes)
		case 46:
			m.bosPiece = string(f.bytes)
		case 47:
			m.eosPiece = string(f.bytes)
		case 48:
			m.padPiece = string(f.bytes)
		}
	})
}

var normalizerFields = map[uint64]uint64{2: wireBytes, 3: wireVarint, 4: wireVarint, 5: wireVarint}

func (m *spModel) parseNormalizer(data []byte) error {
	return fields(data, "NormalizerSpec", normalizerFields, func(f wireField) {
		switch f.tag {
		case 2:
			m.charsMap = f.bytes
		case 3:
			m.dummyPrefix = f.bool()
		case 4:
			m.collapseSpace = f.bool()
		case 5:
			m.escapeSpace = f.bool()
		}
	})
}

func (m *spModel) parseDenormalizer(data []byte) error {
	return fields(data, "denormalizer", map[uint64]uint64{2: wireBytes}, func(f wireField) {
		m.denormalizes = m.denormalizes || len(f.bytes) > 0
	})
}

// Model types of sentencepiece_model.proto.
const (
	modelUnigram = 1
	modelBPE     = 2
)

var modelTypeNames = map[uint64]string{3: "word", 4: "char"}

// sentencePiece encodes and decodes with a BPE or a Unigram model.
type sentencePiece struct {
	model    *spModel
	norm     spNormalizer
	pieces   map[string]int32 // normal, user-defined and unused: what merging may form
	reserved map[string]int32 // control, unknown, byte
	bytes    [256]int32
	unk      int32
	legacy   bool
	longest  int              // bytes of the longest piece
	extra    map[int32]string // tokens added by a configuration beyond the pieces
	unigram  *unigram[float32]

	// byWord is true when no piece has a space symbol behind another character, so that
	// merging never crosses the start of a word, and words can be encoded, and cached, alone.
	byWord bool
	cache  pieceCache
}

// parseSentencePiece reads the bytes of a tokenizer.model. added are tokens to be cut out of the
// text before SentencePiece sees it; legacy gives each stretch between them a dummy prefix.
func parseSentencePiece(data []byte, added []hfAddedToken, legacy bool) (*Tokenizer, error) {
	m, err := parseSPModel(data)
	if err != nil {
		return nil, err
	}
	if len(m.pieces) == 0 {
		return nil, invalid("not a SentencePiece model: it has no pieces")
	}
	if m.modelType != modelBPE && m.modelType != modelUnigram {
		name, ok := modelTypeNames[m.modelType]
		if !ok {
			return nil, invalid("SentencePiece model type %d", m.modelType)
		}
		return nil, unsupported("SentencePiece %s model (BPE and Unigram are read)", name)
	}
	// The text of a decoding is UTF-8 for certain, so all that it is made of must be.
	if !utf8.ValidString(m.unkSurface) {
		return nil, invalid("unk_surface, %q, is not UTF-8", m.unkSurface)
	}
	if m.denormalizes {
		return nil, unsupported("SentencePiece model with a denormalizer")
	}
	sp := &sentencePiece{model: m, legacy: legacy, unk: -1,
		pieces: make(map[string]int32, len(m.pieces)), reserved: make(map[string]int32), extra: make(map[int32]string)}
	vocab := newVocabulary(len(m.pieces))
	control := make(map[int32]bool)
	if err := sp.index(vocab, control); err != nil {
		return nil, err
	}
	if sp.norm, err = newSPNormalizer(m); err != nil {
		return nil, err
	}
	if m.modelType == modelUnigram {
		sp.unigram = sp.newUnigram()
	}
	named := func(piece string) int32 {
		if id, ok := sp.reserved[piece]; ok && control[id] {
			return id
		}
		return -1
	}
	t := &Tokenizer{vocab: vocab, encoder: sp, decoding: sp, control: control, unk: sp.unk,
		bos: named(m.bosPiece), pad: named(m.padPiece), fromModel: true}
	if eos := named(m.eosPiece); eos >= 0 {
		t.eos = []int32{eos}
	}
	tokens, err := sp.addedTokens(vocab, added)
	if err != nil {
		return nil, err
	}
	t.added = newAddedVocab(tokens)
	return t, nil
}

// index sorts the pieces into their tables, with the checks of SentencePiece's own loader.
func (sp *sentencePiece) index(vocab *vocabulary, control map[int32]bool) error {
	for i := range sp.bytes {
		sp.bytes[i] = -1
	}
	sp.byWord = sp.model.escapeSpace
	bytes := 0
	for i, p := range sp.model.pieces {
		id := int32(i)
		if p.text == "" {
			return invalid("piece %d is empty", i)
		}
		if !utf8.ValidString(p.text) {
			return invalid("piece %d, %q, is not UTF-8", i, p.text)
		}
		_, dup1 := sp.pieces[p.text]
		_, dup2 := sp.reserved[p.text]
		if dup1 || dup2 {
			return invalid("piece %d, %q, is listed twice", i, p.text)
		}
		if err := vocab.add(p.text, int64(i), int64(len(sp.model.pieces))); err != nil {
			return err
		}
		switch p.kind {
		case pieceNormal, pieceUserDefined, pieceUnused:
			sp.pieces[p.text] = id
			sp.longest = max(sp.longest, len(p.text))
			if p.kind == pieceUnused || strings.Contains(strings.TrimLeft(p.text, spaceSymbol), spaceSymbol) {
				sp.byWord = false
			}
			continue
		case pieceControl:
			control[id] = true
		case pieceUnknown:
			if sp.unk >= 0 {
				return invalid("pieces %d and %d are both the unknown piece", sp.unk, i)
			}
			sp.unk = id
		case pieceByte:
			b, ok := bytePiece(p.text)
			if !ok || !sp.model.byteFallback {
				return invalid("piece %d, %q, is of type byte (byte_fallback is %v)", i, p.text, sp.model.byteFallback)
			}
			sp.bytes[b] = id
			bytes++
		default:
			return invalid("piece %d, %q, has type %d", i, p.text, p.kind)
		}
		sp.reserved[p.text] = id
	}
	if sp.unk < 0 {
		return invalid("the model has no unknown piece")
	}
	if sp.model.byteFallback && bytes != 256 {
		return invalid("byte_fallback is set, but %d of 256 byte pieces are there", bytes)
	}
	return nil
}

// bytePiece reads <0xNN>.
func bytePiece(s string) (byte, bool) {
	const hex = "0123456789ABCDEF"
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	hi, lo := strings.IndexByte(hex, s[3]), strings.IndexByte(hex, s[4])
	return byte(hi<<4 | lo), hi >= 0 && lo >= 0
}

// addedTokens resolves tokens of a configuration to ids; new ones must extend the vocabulary.
func (sp *sentencePiece) addedTokens(vocab *vocabulary, list []hfAddedToken) ([]*addedToken, error) {
	var out []*addedToken
	seen := make(map[string]bool, len(list))
	limit := maxID(len(vocab.tokens))
	for _, a := range list {
		if a.Content == "" || seen[a.Content] {
			continue
		}
		if len(a.Content) > maxAdded {
			return nil, invalid("an added token has %d bytes, allowed are %d", len(a.Content), maxAdded)
		}
		seen[a.Content] = true
		id, ok := vocab.id(a.Content)
		if !ok {
			if err := vocab.add(a.Content, a.ID, limit); err != nil {
				return nil, err
			}
			id = int32(a.ID)
			sp.extra[id] = a.Content
		}
		out = append(out, &addedToken{id: id, content: a.Content, special: a.Special,
			singleWord: a.SingleWord, lstrip: a.LStrip, rstrip: a.RStrip})
	}
	return out, nil
}

// id returns the id of a symbol, the unknown piece's for one that is no piece: text never gives a
// control or byte piece by its spelling.
func (sp *sentencePiece) id(symbol string) int32 {
	if id, ok := sp.pieces[symbol]; ok {
		return id
	}
	return sp.unk
}

func (sp *sentencePiece) encode(dst []int32, text string, first bool) ([]int32, error) {
	text = sp.norm.normalize(text, first || sp.legacy)
	if sp.unigram != nil {
		return sp.encodeUnigram(dst, text), nil
	}
	start := len(dst)
	for text != "" {
		n := len(text)
		if sp.byWord {
			n = wordLength(text)
		}
		dst = sp.encodeWord(dst, text[:n])
		text = text[n:]
	}
	if sp.model.byteFallback {
		return dst, nil
	}
	// A run of unknown symbols is one unknown piece.
	out := dst[:start]
	for i, id := range dst[start:] {
		if id == sp.unk && i > 0 && len(out) > start && out[len(out)-1] == sp.unk {
			continue
		}
		out = append(out, id)
	}
	return out, nil
}

// wordLength returns the length of the first word, its leading space symbols included.
func wordLength(s string) int {
	i := 0
	for strings.HasPrefix(s[i:], spaceSymbol) {
		i += len(spaceSymbol)
	}
	if n := strings.Index(s[i:], spaceSymbol); n >= 0 {
		return i + n
	}
	return len(s)
}

func (sp *sentencePiece) encodeWord(dst []int32, word string) []int32 {
	cacheable := len(word) <= maxCachedPiece
	if cacheable {
		if ids, ok := sp.cache.get(word); ok {
			return append(dst, ids...)
		}
	}
	start := len(dst)
	dst = sp.merge(dst, word)
	if cacheable {
		sp.cache.put(word, dst[start:])
	}
	return dst
}

// firstSymbol returns the length of the first symbol: a user-defined piece, which merging leaves
// alone (frozen), or one character.
func (sp *sentencePiece) firstSymbol(s string) (n int, frozen bool) {
	if n, _ := sp.norm.userDefined.longest(s); n > 0 {
		return n, true
	}
	_, n = utf8.DecodeRuneInString(s)
	return n, false
}
