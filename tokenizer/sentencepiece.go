package tokenizer

import (
	"math"
	"strings"
	"unicode/utf8"
)

// sentencePiece encodes and decodes with a SentencePiece model, as sentencepiece 0.2.3 does.
type sentencePiece struct {
	model       *spModel
	norm        spNormalizer
	denorm      *spNormalizer // nil for none
	vocab       *vocabulary
	shadowed    map[string]int32 // pieces of text that are spelled as a reserved one, which vocab has
	userDefined pieceTrie        // what normalising and merging leave whole
	unigram     *unigram[float32]
	longest     int // bytes of the longest piece
	bytes       [256]int32
	unk         int32 // -1 without, which byte_fallback allows
	legacy      bool
	extra       map[int32]string // tokens added by a configuration beyond the pieces

	// byWord is true when no piece has a space symbol behind another character, so that
	// merging never crosses the start of a word, and words can be encoded, and cached, alone.
	byWord bool
	cache  pieceCache
}

// parseSentencePiece reads the bytes of a tokenizer.model. added are tokens to be cut out of the
// text before SentencePiece sees it; legacy gives each stretch between them a dummy prefix.
func parseSentencePiece(data []byte, added []hfAddedToken, legacy bool) (*Tokenizer, error) {
	m, err := parseSPModel(string(data))
	if err != nil {
		return nil, err
	}
	if len(m.pieces) == 0 {
		return nil, invalid("not a SentencePiece model: it has no pieces")
	}
	if m.modelType < modelUnigram || m.modelType > modelChar {
		return nil, invalid("SentencePiece model type %d (1 Unigram, 2 BPE, 3 word, 4 char)", m.modelType)
	}
	// The text of a decoding is UTF-8 for certain, so all that it is made of must be.
	if !utf8.ValidString(m.unkSurface) {
		return nil, invalid("unk_surface, %q, is not UTF-8", m.unkSurface)
	}
	vocab := newVocabularyOf(m.texts)
	sp := &sentencePiece{model: m, vocab: vocab, legacy: legacy, unk: -1, extra: make(map[int32]string),
		byWord: m.normalizer.escapeSpace}
	if err := sp.index(); err != nil {
		return nil, err
	}
	if err := sp.prepare(); err != nil {
		return nil, err
	}
	control := make(map[int32]bool)
	for i, p := range m.pieces {
		if p.kind == pieceControl {
			control[int32(i)] = true
		}
	}
	named := func(piece string) int32 {
		if id, ok := vocab.id(piece); ok && control[id] {
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

// maxSPPiece bounds a piece in bytes, as the library does.
const maxSPPiece = 8000

// index checks the pieces as SentencePiece's own loader does and puts them into the vocabulary. In a
// BPE model all pieces differ; in others a reserved piece may be spelled as one of text, and goes before it.
func (sp *sentencePiece) index() error {
	for i := range sp.bytes {
		sp.bytes[i] = -1
	}
	for i := range sp.model.pieces {
		if err := sp.checkPiece(i); err != nil {
			return err
		}
		p := &sp.model.pieces[i]
		old := sp.vocab.claim(int32(i))
		if old < 0 {
			continue
		}
		other := &sp.model.pieces[old]
		_, twice := sp.shadowed[sp.model.texts[i]]
		if sp.model.modelType == modelBPE || twice || other.ofText() == p.ofText() {
			return invalid("pieces %d and %d are both %q", old, i, sp.model.texts[i])
		}
		sp.shadow(old, int32(i))
	}
	if sp.unk < 0 && !sp.model.byteFallback {
		return invalid("the model has no unknown piece")
	}
	for b, id := range sp.bytes {
		if id < 0 && sp.model.byteFallback {
			return invalid("byte_fallback is set, but there is no piece <0x%02X>", b)
		}
	}
	return nil
}

// shadow settles which of two pieces that are spelled alike the vocabulary finds: the reserved one.
func (sp *sentencePiece) shadow(first, second int32) {
	if sp.shadowed == nil {
		sp.shadowed = make(map[string]int32)
	}
	text, reserved := first, second
	if sp.model.pieces[second].ofText() {
		text, reserved = second, first
	}
	spelling := sp.model.texts[text]
	sp.shadowed[spelling] = text
	sp.vocab.take(spelling, reserved)
}

// checkPiece checks piece i by itself and takes note of what it is for.
func (sp *sentencePiece) checkPiece(i int) error {
	p := &sp.model.pieces[i]
	text := sp.model.texts[i]
	ascii, nul := looksOf(text)
	switch {
	case text == "":
		return invalid("piece %d is empty", i)
	case len(text) >= maxSPPiece:
		return invalid("piece %d has %d bytes, allowed are %d", i, len(text), maxSPPiece-1)
	case !ascii && !utf8.ValidString(text):
		return invalid("piece %d, %q, is not UTF-8", i, text)
	case nul && (text != "\x00" || p.kind != pieceUnused):
		return invalid("piece %d, %q, has a NUL character", i, text)
	case sp.model.modelType == modelUnigram && (math.IsNaN(float64(p.score)) || math.IsInf(float64(p.score), 0)):
		return invalid("piece %d, %q, has the score %v", i, text, p.score)
	}
	if p.ofText() {
		sp.noteText(p, text, ascii)
		return nil
	}
	switch p.kind {
	case pieceUnknown:
		if sp.unk >= 0 {
			return invalid("pieces %d and %d are both the unknown piece", sp.unk, i)
		}
		sp.unk = int32(i)
	case pieceByte:
		b, ok := bytePiece(text)
		if !ok || !sp.model.byteFallback {
			return invalid("piece %d, %q, is of type byte (byte_fallback is %v)", i, text, sp.model.byteFallback)
		}
		sp.bytes[b] = int32(i)
	}
	return nil
}

// noteText takes note of a piece that text may give.
func (sp *sentencePiece) noteText(p *spPiece, text string, ascii bool) {
	sp.longest = max(sp.longest, len(text))
	// What an unused piece is taken apart to depends on the whole text.
	sp.byWord = sp.byWord && p.kind != pieceUnused
	if ascii {
		return
	}
	if rest := text[1:]; strings.Contains(rest, spaceSymbol) {
		p.innerSpace = true
		sp.byWord = sp.byWord && !strings.Contains(strings.TrimLeft(text, spaceSymbol), spaceSymbol)
	}
}

// looksOf reports whether a piece is ASCII, and whether it has a NUL.
func looksOf(piece string) (ascii, nul bool) {
	or := byte(0)
	for i := range len(piece) {
		or |= piece[i]
		nul = nul || piece[i] == 0
	}
	return or < utf8.RuneSelf, nul
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

// prepare builds the tables of encoding and decoding.
func (sp *sentencePiece) prepare() error {
	var user []string
	var ids []int32
	m := sp.model
	for i := range m.pieces {
		if p := &m.pieces[i]; p.kind == pieceUserDefined {
			user, ids = append(user, m.texts[i]), append(ids, int32(i))
		}
	}
	sp.userDefined = newPieceTrie(user, ids)
	if m.modelType == modelUnigram {
		sp.unigram = sp.newUnigram()
	}
	var err error
	if sp.norm, err = newSPNormalizer(m.normalizer, m.whitespaceAsSuffix, &sp.userDefined); err != nil {
		return err
	}
	if m.denormalizer.charsMap == "" {
		return nil
	}
	denorm, err := newSPNormalizer(m.denormalizer, false, nil)
	if err != nil {
		return err
	}
	if !denorm.givesUTF8() {
		return invalid("the denormalizer replaces characters by bytes that are not UTF-8")
	}
	sp.denorm = &denorm
	return nil
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

func (sp *sentencePiece) encode(dst []int32, text string, first bool) ([]int32, error) {
	text = sp.norm.normalize(text, first || sp.legacy)
	start := len(dst)
	switch sp.model.modelType {
	case modelUnigram:
		dst = sp.encodeUnigram(dst, text)
	case modelBPE:
		dst = sp.encodeBPE(dst, text)
	case modelWord:
		dst = sp.encodeWords(dst, text)
	case modelChar:
		dst = sp.encodeCharacters(dst, text)
	}
	if sp.model.byteFallback {
		return dst, nil
	}
	return dst[:start+sp.joinUnknown(dst[start:])], nil
}

// joinUnknown makes one unknown piece of each run of them, in place, and returns how many ids are left.
func (sp *sentencePiece) joinUnknown(ids []int32) int {
	n := 0
	for i, id := range ids {
		if id == sp.unk && i > 0 && ids[i-1] == sp.unk {
			continue
		}
		ids[n] = id
		n++
	}
	return n
}

// emit appends the id of a symbol: the piece's, or, of what is none or an unused one, the unknown
// piece's, or with byte_fallback those of its bytes.
func (sp *sentencePiece) emit(dst []int32, symbol string, id int32, known bool) []int32 {
	if known && sp.model.pieces[id].kind != pieceUnused {
		return append(dst, id)
	}
	if !sp.model.byteFallback {
		return append(dst, sp.unk)
	}
	for i := range len(symbol) {
		dst = append(dst, sp.bytes[symbol[i]])
	}
	return dst
}

// piece returns the id of the piece that symbol is, if text may give it.
func (sp *sentencePiece) piece(symbol string) (id int32, ok bool) {
	if len(symbol) > sp.longest {
		return -1, false
	}
	id, ok = sp.vocab.id(symbol)
	if !ok || int(id) >= len(sp.model.pieces) {
		return -1, false
	}
	if !sp.model.pieces[id].ofText() {
		id, ok = sp.shadowed[symbol]
	}
	return id, ok
}
