// Package source is the door between the exporter and the formats that models
// come in: what a model is, which weights it has, where their bytes are. A new
// format is one implementation of [Model]; export.ConvertModel takes any.
//
//	type randomModel struct{ config *checkpoint.Config }
//
//	func (m randomModel) Config() *checkpoint.Config { return m.config }
//
//	func (m randomModel) Tensor(name string, shape []int64) (source.Tensor, error) {
//		return source.Tensor{Dtype: "F32", Shape: shape, Rows: randomRows{}}, nil
//	}
//	…
package source

import (
	"fmt"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// Model is an open model in some format. All methods but Close may be called
// from several goroutines.
type Model interface {
	// Format is the name that `trtgo inspect` prints, for instance "gguf".
	Format() string
	// Config is the model as an undivided checkpoint's config. Its Dtype is the
	// source's own (bfloat16 where that is no dtype of a checkpoint). Do not
	// modify it.
	Config() *checkpoint.Config
	// Tensor gives a weight of the config (see checkpoint.Config.Weights) by its
	// name. The error names the source's tensor when it is missing, of another
	// shape, or of a dtype that is not supported.
	Tensor(name string, shape []int64) (Tensor, error)
	// Inventory lists the source's own tensors under their own names.
	Inventory() []Info
	// Files are the tokenizer's files that travel along.
	Files() ([]File, error)
	// Notes are sentences that a user should read: assumptions made, things left
	// out.
	Notes() []string
	// Close releases files. No tensor may be read after it.
	Close() error
}

// CacheScaler is a Model whose Config says that the KV cache is quantised.
type CacheScaler interface {
	// CacheScales gives what a layer's stored keys and values are multiplied by to
	// give the real ones. Layers count from 0.
	CacheScales(layer int64) (k, v float32, err error)
}

// Tensor is one weight.
type Tensor struct {
	// Origin names the tensor in the source, for messages.
	Origin string
	// Dtype is that of the bytes that Rows gives, as safetensors spells it: F64,
	// F32, F16, BF16, or F8_E4M3 with a Scale; of a W4A16_AWQ model also I8, two rows
	// of 4 bits in one. It need not be how the source stores them.
	Dtype string
	Shape []int64
	// Scale is what the numbers of an F8_E4M3 tensor are multiplied by to give the
	// real ones. InputScale is that of the linear's input where it is rounded to
	// F8_E4M3 too by a fixed scale, otherwise 0.
	Scale, InputScale float32
	// Transform says in a few words how Rows differ from what is stored, for people
	// who read a plan: "+1", "first half"; "" where they do not. Several are
	// separated by commas.
	Transform string
	// Rows is nil for a weight that the source leaves out because it is zero.
	Rows RowReader
}

// RowReader reads whole rows of a tensor, a row being everything but the first
// dimension, in row-major, little-endian order. It may be called from several
// goroutines and keeps no more memory than a few rows.
type RowReader interface {
	// ReadRows fills dst, a whole number of rows, beginning with the given row.
	ReadRows(dst []byte, row int64) error
}

// Info describes a tensor of the source.
type Info struct {
	Name  string  `json:"name"`
	Dtype string  `json:"dtype"`
	Shape []int64 `json:"shape"`
	Bytes int64   `json:"bytes"`
	// File is the name of the file that holds the tensor, where there are several.
	File string `json:"file,omitempty"`
}

// Description is what can be said about a model, be it fit for export or not.
type Description struct {
	Format       string `json:"format"`
	Architecture string `json:"architecture"` // as the source names it
	// Config is the config as understood, a checkpoint's; or the source's own,
	// where Problems say why it was not.
	Config  any    `json:"config"`
	Tensors []Info `json:"tensors"`
	// Problems are sentences about what export or build would refuse.
	Problems []string `json:"problems"`
	// Notes are sentences about what they would assume.
	Notes []string `json:"notes,omitempty"`
}

// File is a file to write beside the weights: the copy of the one at Path, or
// Data where Path is empty.
type File struct {
	Name string
	Path string
	Data []byte
}

// CheckShape returns an error that names tensor and both shapes when they
// differ.
func CheckShape(origin string, have, want []int64) error {
	same := len(have) == len(want)
	for i := 0; same && i < len(have); i++ {
		same = have[i] == want[i]
	}
	if !same {
		return fmt.Errorf("%w: tensor %s has shape %v, the config gives %v", checkpoint.ErrInvalid, origin, have, want)
	}
	return nil
}
