package network

import (
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by every error of [Network.Validate].
var ErrInvalid = errors.New("invalid network")

// Dtype is the type of a weight in the checkpoint.
type Dtype string

// The dtypes of a checkpoint that is not quantised, spelled as in its config.json.
const (
	Float32  Dtype = "float32"
	Float16  Dtype = "float16"
	BFloat16 Dtype = "bfloat16"
)

// Mapping places a rank among the ranks of a model. Ranks are numbered with the
// tensor-parallel rank fastest.
type Mapping struct {
	TPSize, PPSize int
	Rank           int
}

// TPRank is the rank's place in its tensor-parallel group.
func (m Mapping) TPRank() int { return m.Rank % m.TPSize }

// PPRank is the rank's pipeline stage.
func (m Mapping) PPRank() int { return m.Rank / m.TPSize }

// First tells whether the rank is on the first pipeline stage, which embeds.
func (m Mapping) First() bool { return m.PPRank() == 0 }

// Last tells whether the rank is on the last pipeline stage, which makes logits.
func (m Mapping) Last() bool { return m.PPRank() == m.PPSize-1 }

// TPGroup lists the ranks of this rank's tensor-parallel group.
func (m Mapping) TPGroup() []int {
	group := make([]int, m.TPSize)
	for i := range group {
		group[i] = m.PPRank()*m.TPSize + i
	}
	return group
}

// Validate returns an error when the rank or the sizes are impossible.
func (m Mapping) Validate() error {
	if m.TPSize < 1 || m.PPSize < 1 || m.TPSize > 1<<16 || m.PPSize > 1<<16 {
		return fmt.Errorf("mapping: tp_size %d and pp_size %d must be positive", m.TPSize, m.PPSize)
	}
	if m.Rank < 0 || m.Rank >= m.TPSize*m.PPSize {
		return fmt.Errorf("mapping: rank %d is outside tp_size %d × pp_size %d", m.Rank, m.TPSize, m.PPSize)
	}
	return nil
}

// Network is one rank of a model. Sizes are the rank's own unless said otherwise.
type Network struct {
	Architecture          string
	Dtype                 Dtype
	Mapping               Mapping
	VocabSize             int // of the whole model
	HiddenSize            int
	NumLayers             int // attention layers on this rank
	MaxPositionEmbeddings int

	Tensors []*Tensor
	Weights []*Weight
	Ops     []Op
}

// Rows says what a tensor has a row for.
type Rows uint8

const (
	Tokens   Rows = iota // each token of the step
	Selected             // each token whose logits are wanted
)

// Tensor is an activation, [rows, Width]. Exactly one operation writes it.
type Tensor struct {
	ID    int // index in Network.Tensors
	Rows  Rows
	Width int
}

// String returns the tensor as it is printed in a network, e.g. "%4".
func (t *Tensor) String() string { return fmt.Sprintf("%%%d", t.ID) }

func (t *Tensor) describe() string {
	rows := "T"
	if t.Rows == Selected {
		rows = "R"
	}
	return fmt.Sprintf("%s[%s, %d]", t, rows, t.Width)
}

// Weight is a tensor of the checkpoint that the rank needs.
type Weight struct {
	Name  string // as in rank{N}.safetensors
	Dtype Dtype
	Shape []int
}

// String returns name and shape.
func (w *Weight) String() string { return fmt.Sprintf("%s%v", w.Name, w.Shape) }

// Op is one operation: one of the pointers to struct of this package.
type Op interface {
	// OpName is the name of the operation's module in the checkpoint without
	// "transformer.", e.g. "layers.3.attention.qkv".
	OpName() string
	// Inputs are the tensors that are read.
	Inputs() []*Tensor
	// Output is the tensor that is written; nil for [Send] and [Logits].
	Output() *Tensor
	// Parameters are the weights that are read; none is nil.
	Parameters() []*Weight

	check() error
	describe() string
}
