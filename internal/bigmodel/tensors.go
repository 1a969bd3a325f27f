package bigmodel

import (
	"fmt"
	"io"
)

// tensor is one of Hugging Face's. A vector has one column.
type tensor struct {
	name  string
	shape []int64
}

func (t tensor) rows() int64 { return t.shape[0] }

func (t tensor) columns() int64 {
	if len(t.shape) == 1 {
		return 1
	}
	return t.shape[1]
}

func (t tensor) bytes() int64 { return t.rows() * t.columns() * width }

// tensors lists the model's, in the order in which transformers has them.
func (s Shape) tensors() []tensor {
	list := []tensor{s.embedding()}
	for layer := range s.NumHiddenLayers {
		list = append(list, s.query(layer), s.key(layer), s.value(layer), s.output(layer))
		list = append(list, s.linear1(layer)...)
		list = append(list, s.linear2(layer))
		list = append(list, s.norm(s.in(layer, "input_layernorm"))...)
		list = append(list, s.norm(s.in(layer, "post_attention_layernorm"))...)
	}
	list = append(list, s.norm("model.norm")...)
	return append(list, s.head())
}

func (s Shape) in(layer int64, module string) string {
	return fmt.Sprintf("model.layers.%d.%s", layer, module)
}

func (s Shape) embedding() tensor {
	return tensor{"model.embed_tokens.weight", []int64{s.VocabSize, s.HiddenSize}}
}

func (s Shape) head() tensor { return tensor{"lm_head.weight", []int64{s.VocabSize, s.HiddenSize}} }

func (s Shape) query(layer int64) tensor {
	return tensor{s.in(layer, "self_attn.q_proj.weight"), []int64{s.NumAttentionHeads * s.HeadDim, s.HiddenSize}}
}

func (s Shape) key(layer int64) tensor {
	return tensor{s.in(layer, "self_attn.k_proj.weight"), []int64{s.NumKeyValueHeads * s.HeadDim, s.HiddenSize}}
}

func (s Shape) value(layer int64) tensor {
	return tensor{s.in(layer, "self_attn.v_proj.weight"), []int64{s.NumKeyValueHeads * s.HeadDim, s.HiddenSize}}
}

func (s Shape) output(layer int64) tensor {
	return tensor{s.in(layer, "self_attn.o_proj.weight"), []int64{s.HiddenSize, s.NumAttentionHeads * s.HeadDim}}
}

// linear1 is the first linear layer of an MLP: with a gate, the gate comes first.
func (s Shape) linear1(layer int64) []tensor {
	up := tensor{s.in(layer, "mlp.up_proj.weight"), []int64{s.IntermediateSize, s.HiddenSize}}
	if !s.Gated {
		return []tensor{up}
	}
	return []tensor{{s.in(layer, "mlp.gate_proj.weight"), up.shape}, up}
}

func (s Shape) linear2(layer int64) tensor {
	return tensor{s.in(layer, "mlp.down_proj.weight"), []int64{s.HiddenSize, s.IntermediateSize}}
}

// norm gives a norm's tensors: weight and, of a LayerNorm, bias.
func (s Shape) norm(name string) []tensor {
	list := []tensor{{name + ".weight", []int64{s.HiddenSize}}}
	if !s.Gated {
		list = append(list, tensor{name + ".bias", []int64{s.HiddenSize}})
	}
	return list
}

// region is a rectangle of a tensor.
type region struct {
	tensor
	row, rows, column, columns int64
}

func all(t tensor) region { return region{t, 0, t.rows(), 0, t.columns()} }

// content is what is stored in one place: regions one after the other.
type content []region

func whole(list ...tensor) content {
	var c content
	for _, t := range list {
		c = append(c, all(t))
	}
	return c
}

func (c content) size() int64 {
	n := int64(0)
	for _, r := range c {
		n += r.rows * r.columns * width
	}
	return n
}

// slice takes a run of rows of a content whose regions have the same columns.
func (c content) slice(row, rows int64) content {
	var out content
	for _, r := range c {
		first, last := max(row, 0), min(row+rows, r.rows)
		if first < last {
			out = append(out, region{r.tensor, r.row + first, last - first, r.column, r.columns})
		}
		row -= r.rows
	}
	return out
}

// between takes a run of columns.
func (c content) between(column, columns int64) content {
	var out content
	for _, r := range c {
		out = append(out, region{r.tensor, r.row, r.rows, r.column + column, columns})
	}
	return out
}

// pieceBytes is how much is written at once.
const pieceBytes = 1 << 20

// WriteTo implements io.WriterTo.
func (c content) WriteTo(w io.Writer) (int64, error) {
	buffer := make([]byte, max(pieceBytes, c.widest()))
	written := int64(0)
	for _, r := range c {
		step := max(1, int64(len(buffer))/(r.columns*width))
		for row := int64(0); row < r.rows; row += step {
			part := buffer[:min(step, r.rows-row)*r.columns*width]
			r.fill(part, row)
			n, err := w.Write(part)
			written += int64(n)
			if err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// widest is the longest row in bytes.
func (c content) widest() int64 {
	n := int64(0)
	for _, r := range c {
		n = max(n, r.columns*width)
	}
	return n
}

// fill writes whole rows of the region.
func (r region) fill(dst []byte, row int64) {
	all := r.tensor.columns()
	if r.columns == all {
		Fill(dst, r.name, (r.row+row)*all)
		return
	}
	for ; len(dst) > 0; row++ {
		Fill(dst[:r.columns*width], r.name, (r.row+row)*all+r.column)
		dst = dst[r.columns*width:]
	}
}
