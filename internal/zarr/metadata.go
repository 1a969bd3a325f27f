package zarr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Errors that those of this package are wrapped in, besides the tree's.
var (
	// ErrFormat says that an array breaks the format or is not complete.
	ErrFormat = errors.New("invalid zarr array")
	// ErrUnsupported says that an array is stored in a way that is not read here.
	ErrUnsupported = errors.New("not supported")
)

const (
	metadataFile = ".zarray"
	maxMetadata  = 1 << 20 // bytes of a .zarray; real ones have 300
	maxDims      = 32      // as numpy has it
)

// Metadata is what a .zarray file says.
type Metadata struct {
	// Dtype of the elements, as safetensors spells it.
	Dtype string
	Shape []int64
	// Chunks is the shape of each chunk.
	Chunks []int64

	separator string
}

// dtypes gives the safetensors names of numpy's little-endian ones.
var dtypes = map[string]string{
	"bfloat16": "BF16", "<V2": "BF16", "|V2": "BF16", // V2 is what it is before Megatron-core writes the name
	"<f2": "F16", "<f4": "F32", "<f8": "F64",
	"|b1": "BOOL", "|i1": "I8", "|u1": "U8",
	"<i2": "I16", "<u2": "U16", "<i4": "I32", "<u4": "U32", "<i8": "I64", "<u8": "U64",
}

// parse reads a .zarray file.
func parse(text []byte) (*Metadata, error) {
	var z struct {
		Format     *int64           `json:"zarr_format"`
		Shape      []int64          `json:"shape"`
		Chunks     []int64          `json:"chunks"`
		Dtype      json.RawMessage  `json:"dtype"`
		Compressor json.RawMessage  `json:"compressor"`
		Filters    json.RawMessage  `json:"filters"`
		Order      string           `json:"order"`
		Separator  *json.RawMessage `json:"dimension_separator"`
	}
	if err := json.Unmarshal(text, &z); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return nil, fmt.Errorf("%w: the value of %.60q that ends at byte %d has the wrong type: %.60s", ErrFormat, wrong.Field, wrong.Offset, wrong.Value)
		}
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if z.Format == nil || *z.Format != 2 {
		return nil, fmt.Errorf("zarr_format %s is %w: 2 is", number(z.Format), ErrUnsupported)
	}
	if z.Shape == nil || z.Chunks == nil || z.Dtype == nil {
		return nil, fmt.Errorf("%w: shape, chunks or dtype is missing", ErrFormat)
	}
	if err := stored(z.Compressor, z.Filters, z.Order); err != nil {
		return nil, err
	}
	m := &Metadata{Shape: z.Shape, Chunks: z.Chunks, separator: "."}
	if err := m.checkShape(); err != nil {
		return nil, err
	}
	var dtype string
	if json.Unmarshal(z.Dtype, &dtype) == nil {
		m.Dtype = dtypes[dtype]
	}
	if m.Dtype == "" {
		return nil, fmt.Errorf("dtype %.60s is %w: bfloat16 and numpy's little-endian numbers are", z.Dtype, ErrUnsupported)
	}
	if z.Separator != nil {
		if err := json.Unmarshal(*z.Separator, &m.separator); err != nil || m.separator != "." && m.separator != "/" {
			return nil, fmt.Errorf("%w: dimension_separator is %.60s, neither \".\" nor \"/\"", ErrFormat, *z.Separator)
		}
	}
	return m, nil
}

// stored refuses chunks whose bytes are not the elements themselves.
func stored(compressor, filters json.RawMessage, order string) error {
	if !null(compressor) {
		var c struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(compressor, &c) // without a name it is refused all the same
		return fmt.Errorf("compressor %.60q is %w: Megatron-core writes chunks uncompressed", c.ID, ErrUnsupported)
	}
	if !null(filters) && string(bytes.TrimSpace(filters)) != "[]" {
		return fmt.Errorf("filters %.60s are %w: Megatron-core writes none", filters, ErrUnsupported)
	}
	if order != "C" {
		return fmt.Errorf("order %.60q is %w: C is", order, ErrUnsupported)
	}
	return nil
}

func null(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }

func number(n *int64) string {
	if n == nil {
		return "(missing)"
	}
	return fmt.Sprint(*n)
}

func (m *Metadata) checkShape() error {
	if len(m.Shape) != len(m.Chunks) || len(m.Shape) > maxDims {
		return fmt.Errorf("%w: an array of %d dimensions has chunks of %d", ErrFormat, len(m.Shape), len(m.Chunks))
	}
	for i, n := range m.Shape {
		if n < 0 || m.Chunks[i] < 1 {
			return fmt.Errorf("%w: shape %v and chunks %v are impossible", ErrFormat, m.Shape, m.Chunks)
		}
	}
	return nil
}
