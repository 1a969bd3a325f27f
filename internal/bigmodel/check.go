package bigmodel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/safetensors"
)

// ErrDiffers is wrapped by the errors of [Check] about bytes.
var ErrDiffers = errors.New("the checkpoint is not what the model's weights make")

// Check compares a TensorRT-LLM checkpoint of one rank, in bfloat16, with the
// weights that the shape has, bit for bit.
func Check(dir string, s Shape) error {
	path := filepath.Join(dir, "rank0.safetensors")
	f, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	want := s.expected()
	for _, info := range f.Header().Tensors {
		t, _ := f.Tensor(info.Name)
		e, known := want[t.Name]
		delete(want, t.Name)
		switch {
		case known && e.plus:
			err = compareNorm(t, e.content)
		case known:
			_, err = e.content.WriteTo(&comparison{r: t, rest: t.Size})
			if err == nil && e.content.size() != t.Size {
				err = fmt.Errorf("%w: %d bytes, not %d", ErrDiffers, t.Size, e.content.size())
			}
		case strings.HasSuffix(t.Name, ".bias"): // upstream's class has biases that the model has not
			err = compareZeros(t)
		default:
			err = fmt.Errorf("%w: no such weight", ErrDiffers)
		}
		if err != nil {
			return fmt.Errorf("%s: %s: %w", path, t.Name, err)
		}
	}
	if missing := slices.Sorted(maps.Keys(want)); len(missing) > 0 {
		return fmt.Errorf("%s: %w: %s is missing", path, ErrDiffers, missing[0])
	}
	return nil
}

// expectation is a weight of the checkpoint; plus says that a norm is stored less
// one in the source.
type expectation struct {
	content content
	plus    bool
}

func (s Shape) expected() map[string]expectation {
	want := map[string]expectation{
		"transformer.vocab_embedding.weight": {whole(s.embedding()), false}, "lm_head.weight": {whole(s.head()), false},
	}
	norm := func(name, theirs string) {
		for _, t := range s.norm(theirs) {
			kind := strings.TrimPrefix(t.name, theirs)
			want[name+kind] = expectation{whole(t), kind == ".weight" && !s.Gated}
		}
	}
	norm("transformer.ln_f", "model.norm")
	for l := range s.NumHiddenLayers {
		layer := fmt.Sprintf("transformer.layers.%d.", l)
		want[layer+"attention.qkv.weight"] = expectation{whole(s.query(l), s.key(l), s.value(l)), false}
		want[layer+"attention.dense.weight"] = expectation{whole(s.output(l)), false}
		for i, t := range s.linear1(l) {
			want[layer+[]string{"mlp.fc.weight", "mlp.gate.weight"}[i]] = expectation{whole(t), false}
		}
		want[layer+"mlp.proj.weight"] = expectation{whole(s.linear2(l)), false}
		norm(layer+"input_layernorm", s.in(l, "input_layernorm"))
		norm(layer+"post_layernorm", s.in(l, "post_attention_layernorm"))
	}
	return want
}

// comparison is a writer that wants what r has.
type comparison struct {
	r        io.ReaderAt
	at, rest int64
	buffer   []byte
}

func (c *comparison) Write(want []byte) (int, error) {
	if int64(len(want)) > c.rest {
		return 0, fmt.Errorf("%w: only %d bytes", ErrDiffers, c.at+c.rest)
	}
	if len(c.buffer) < len(want) {
		c.buffer = make([]byte, len(want))
	}
	have := c.buffer[:len(want)]
	if n, err := c.r.ReadAt(have, c.at); n < len(have) {
		return 0, err
	}
	if !bytes.Equal(have, want) {
		return 0, fmt.Errorf("%w: the bytes from %d to %d differ", ErrDiffers, c.at, c.at+int64(len(want)))
	}
	c.at += int64(len(want))
	c.rest -= int64(len(want))
	return len(want), nil
}

func readAll(t safetensors.Tensor) ([]byte, error) {
	data := make([]byte, t.Size)
	_, err := t.ReadAt(data, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data, err
}

// compareNorm adds one in float32 and rounds to the nearest, to even in a tie.
func compareNorm(t safetensors.Tensor, c content) error {
	have, err := readAll(t)
	if err != nil {
		return err
	}
	var stored bytes.Buffer
	if _, err := c.WriteTo(&stored); err != nil {
		return err
	}
	want := stored.Bytes()
	for i := 0; i < len(want); i += width {
		sum := 1 + math.Float32frombits(uint32(binary.LittleEndian.Uint16(want[i:]))<<16)
		bits := math.Float32bits(sum)
		binary.LittleEndian.PutUint16(want[i:], uint16((bits+0x7fff+bits>>16&1)>>16))
	}
	if !bytes.Equal(have, want) {
		return ErrDiffers
	}
	return nil
}

func compareZeros(t safetensors.Tensor) error {
	have, err := readAll(t)
	if err == nil && len(bytes.Trim(have, "\x00")) > 0 {
		err = fmt.Errorf("%w: it should be zero", ErrDiffers)
	}
	return err
}
