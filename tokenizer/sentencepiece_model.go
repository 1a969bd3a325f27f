package tokenizer

import "math"

// Piece types of sentencepiece_model.proto.
const (
	pieceNormal      = 1
	pieceUnknown     = 2
	pieceControl     = 3
	pieceUserDefined = 4
	pieceUnused      = 5
	pieceByte        = 6
)

// Model types of sentencepiece_model.proto.
const (
	modelUnigram = 1
	modelBPE     = 2
	modelWord    = 3
	modelChar    = 4
)

const spaceSymbol = "\u2581" // ▁ stands for a space inside pieces

// spPiece is an entry of the vocabulary but for its text; its place in the file is its id.
type spPiece struct {
	score      float32
	kind       uint8
	innerSpace bool // it has a space symbol that is not its first character
}

// ofText reports whether text can give the piece: the others are reserved.
func (p *spPiece) ofText() bool {
	return p.kind == pieceNormal || p.kind == pieceUserDefined || p.kind == pieceUnused
}

// spNormalizerSpec is a NormalizerSpec.
type spNormalizerSpec struct {
	charsMap      string
	dummyPrefix   bool // add_dummy_prefix
	collapseSpace bool // remove_extra_whitespaces
	escapeSpace   bool // escape_whitespaces
}

// spModel is a SentencePiece ModelProto, as far as encoding and decoding need it. The defaults
// are the proto's.
type spModel struct {
	pieces []spPiece
	texts  []string // of the pieces

	modelType          uint64
	byteFallback       bool
	whitespaceAsSuffix bool // treat_whitespace_as_suffix
	unkPiece, bosPiece string
	eosPiece, padPiece string
	unkSurface         string
	normalizer         spNormalizerSpec
	denormalizer       spNormalizerSpec // without effect if it has no charsMap
}

// parseSPModel reads the wire format. Strings of the result share data's memory.
func parseSPModel(data string) (*spModel, error) {
	spec := spNormalizerSpec{dummyPrefix: true, collapseSpace: true, escapeSpace: true}
	m := &spModel{modelType: modelUnigram, unkPiece: "<unk>", bosPiece: "<s>", eosPiece: "</s>", padPiece: "<pad>",
		unkSurface: " \u2047 ", normalizer: spec, denormalizer: spec}
	r := wireReader{data: data, where: "ModelProto"}
	m.pieces, m.texts = make([]spPiece, 0, len(data)/16), make([]string, 0, len(data)/16) // 18 bytes are usual
	for {
		if p, text, size := usualPiece(data[r.at:]); size > 0 {
			m.pieces, m.texts = append(m.pieces, p), append(m.texts, text)
			r.at += size
			continue
		}
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
			err = m.normalizer.parse(f.bytes, "NormalizerSpec")
		case 5:
			err = m.denormalizer.parse(f.bytes, "denormalizer's NormalizerSpec")
		}
		if err != nil {
			return nil, err
		}
	}
}

// fields calls set for each field of a message that want knows, which says the wire type it must have.
func fields(data, where string, want func(tag uint64) (wire uint64, known bool), set func(wireField)) error {
	r := wireReader{data: data, where: where}
	for {
		f, ok, err := r.next()
		if err != nil || !ok {
			return err
		}
		wire, known := want(f.tag)
		if !known {
			continue
		}
		if err := f.expect(wire, where); err != nil {
			return err
		}
		set(f)
	}
}

func pieceField(tag uint64) (uint64, bool) {
	switch tag {
	case 1:
		return wireBytes, true
	case 2:
		return wireFixed32, true
	}
	return wireVarint, tag == 3
}

func (m *spModel) parsePiece(data string) error {
	p := spPiece{kind: pieceNormal}
	text := ""
	kind := uint64(pieceNormal)
	err := fields(data, "SentencePiece", pieceField, func(f wireField) {
		switch f.tag {
		case 1:
			text = f.bytes
		case 2:
			p.score = f.float()
		case 3:
			kind = f.number
		}
	})
	if err != nil {
		return err
	}
	if kind < pieceNormal || kind > pieceByte {
		return invalid("piece %d, %q, has type %d", len(m.pieces), text, kind)
	}
	p.kind = uint8(kind)
	m.pieces, m.texts = append(m.pieces, p), append(m.texts, text)
	return nil
}

// usualPiece reads a field of a ModelProto that is a piece as the trainer writes it: text, score and, if it
// is not normal, type. size is how many bytes it has; 0 for all that is unusual, which the general reader takes.
func usualPiece(data string) (p spPiece, text string, size int) {
	if len(data) < 4 || data[0] != 1<<3|wireBytes || data[1] >= 0x80 || data[2] != 1<<3|wireBytes || data[3] >= 0x80 {
		return p, "", 0
	}
	size = 2 + int(data[1])
	rest := 4 + int(data[3])
	if size > len(data) || size-rest != 5 && size-rest != 7 {
		return p, "", 0
	}
	text, data = data[4:rest], data[rest:size]
	if data[0] != 2<<3|wireFixed32 {
		return p, "", 0
	}
	p.score = math.Float32frombits(uint32(data[1]) | uint32(data[2])<<8 | uint32(data[3])<<16 | uint32(data[4])<<24)
	p.kind = pieceNormal
	if len(data) == 7 {
		if data[5] != 3<<3|wireVarint || data[6] < pieceNormal || data[6] > pieceByte {
			return p, "", 0
		}
		p.kind = data[6]
	}
	return p, text, size
}

func trainerField(tag uint64) (uint64, bool) {
	switch tag {
	case 3, 24, 35:
		return wireVarint, true
	}
	return wireBytes, tag >= 44 && tag <= 48
}

func (m *spModel) parseTrainer(data string) error {
	named := func(name string, def *string) {
		if name != "" {
			*def = name
		}
	}
	return fields(data, "TrainerSpec", trainerField, func(f wireField) {
		switch f.tag {
		case 3:
			m.modelType = f.number
		case 24:
			m.whitespaceAsSuffix = f.bool()
		case 35:
			m.byteFallback = f.bool()
		case 44:
			m.unkSurface = f.bytes
		case 45:
			named(f.bytes, &m.unkPiece)
		case 46:
			named(f.bytes, &m.bosPiece)
		case 47:
			named(f.bytes, &m.eosPiece)
		case 48:
			named(f.bytes, &m.padPiece)
		}
	})
}

func normalizerField(tag uint64) (uint64, bool) {
	if tag == 2 {
		return wireBytes, true
	}
	return wireVarint, tag >= 3 && tag <= 5
}

func (n *spNormalizerSpec) parse(data, where string) error {
	return fields(data, where, normalizerField, func(f wireField) {
		switch f.tag {
		case 2:
			n.charsMap = f.bytes
		case 3:
			n.dummyPrefix = f.bool()
		case 4:
			n.collapseSpace = f.bool()
		case 5:
			n.escapeSpace = f.bool()
		}
	})
}
