package tokenizer

import (
	"encoding/binary"
	"math"
	"strconv"
)

// fromSentencePiece reports whether the vocabulary comes from a SentencePiece model.
func (g *ggufVocabulary) fromSentencePiece() bool { return g.model == "llama" || g.model == "t5" }

// sentencePiece writes the tokenizer.model of a llama vocabulary, BPE, or a t5 one, Unigram. A tokenizer.json
// could not say the same: SentencePiece's scores are no ranks of merges, nor its normaliser a list of rules.
func (g *ggufVocabulary) sentencePiece() ([]byte, error) {
	scores, ok := floats(g.meta["tokenizer.ggml.scores"])
	if !ok || len(scores) != len(g.tokens) {
		return nil, invalid("GGUF: %d tokens, but %d scores (tokenizer.ggml.scores)", len(g.tokens), len(scores))
	}
	charsMap := ""
	if v, there := g.meta["tokenizer.ggml.precompiled_charsmap"]; there {
		if charsMap, ok = octets(v); !ok {
			return nil, invalid("GGUF: tokenizer.ggml.precompiled_charsmap is not a list of bytes")
		}
	}
	var out protoWriter
	bytes := 0
	for i, token := range g.tokens {
		kind := g.pieceKind(int64(i))
		if kind == pieceByte {
			bytes++
		}
		var piece protoWriter
		piece.bytes(1, token)
		piece.float(2, scores[i])
		piece.number(3, uint64(kind))
		out.bytes(1, string(piece))
	}
	out.bytes(2, g.trainerSpec(bytes > 0))
	var normalizer protoWriter
	if charsMap != "" {
		normalizer.bytes(2, charsMap)
	} else {
		normalizer.bytes(1, "identity")
	}
	normalizer.flag(3, g.flag("add_space_prefix", true))
	normalizer.flag(4, g.flag("remove_extra_whitespaces", false))
	normalizer.flag(5, true)
	out.bytes(3, string(normalizer))
	return out, nil
}

func (g *ggufVocabulary) trainerSpec(byteFallback bool) string {
	var trainer protoWriter
	modelType := uint64(modelBPE)
	if g.model == "t5" {
		modelType = modelUnigram
	}
	trainer.number(3, modelType)
	trainer.flag(35, byteFallback)
	for field, key := range map[int]string{45: "unknown", 46: "bos", 47: "eos", 48: "padding"} {
		if id := g.id(key); id >= 0 {
			trainer.bytes(field, g.tokens[id])
		}
	}
	return string(trainer)
}

// pieceKind is the type of a token as a piece. GGUF's numbers are SentencePiece's, but of a model there is
// one unknown piece, and converters call other tokens so that no text gives.
func (g *ggufVocabulary) pieceKind(id int64) int64 {
	kind, unk := g.kind(id), g.unknownID()
	switch {
	case id == unk:
		return pieceUnknown
	case kind == 0 && (id == g.id("bos") || id == g.id("eos") || id == g.id("padding")):
		return pieceControl
	case kind == 0:
		return pieceNormal
	case kind == ggufUnknown:
		return pieceUnused
	}
	return kind
}

// unknownID is the id of the unknown token: the named one, or the first of its type, or -1.
func (g *ggufVocabulary) unknownID() int64 {
	if id := g.id("unknown"); id >= 0 {
		return id
	}
	for id := range g.types {
		if g.types[id] == ggufUnknown {
			return int64(id)
		}
	}
	return -1
}

// addedDecoder lists the tokens that are cut out of text before SentencePiece sees it, by id: the unknown and the
// control ones. User-defined ones are SentencePiece's own.
func (g *ggufVocabulary) addedDecoder() object {
	out := object{}
	for id, token := range g.tokens {
		if kind := g.pieceKind(int64(id)); token != "" && (kind == pieceControl || kind == pieceUnknown) {
			out[strconv.Itoa(id)] = object{"content": token, "single_word": false, "lstrip": false, "rstrip": false,
				"normalized": false, "special": true}
		}
	}
	return out
}

// protoWriter is a protobuf message that grows.
type protoWriter []byte

func (w *protoWriter) key(field, wire int) { *w = binary.AppendUvarint(*w, uint64(field<<3|wire)) }

func (w *protoWriter) bytes(field int, s string) {
	w.key(field, wireBytes)
	*w = append(binary.AppendUvarint(*w, uint64(len(s))), s...)
}

func (w *protoWriter) number(field int, n uint64) {
	w.key(field, wireVarint)
	*w = binary.AppendUvarint(*w, n)
}

func (w *protoWriter) flag(field int, on bool) {
	n := uint64(0)
	if on {
		n = 1
	}
	w.number(field, n)
}

func (w *protoWriter) float(field int, x float32) {
	w.key(field, wireFixed32)
	*w = binary.LittleEndian.AppendUint32(*w, math.Float32bits(x))
}
