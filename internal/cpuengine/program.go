package cpuengine

// PanelRows is the number of output rows in a packed panel.
const PanelRows = 16

// Ceilings of the CPU runner, whatever an engine's limits are.
const (
	MaxStepSize  = 1 << 24 // tokens or sequences in a step
	MaxPositions = 1 << 24 // tokens of a sequence: a position is exact in float32
)

// What the CPU runner (csrc/cpu) allocates by.
const (
	KVBlockTokens = 32 // tokens of a KV block
	LogitsRows    = 32 // rows whose logits are computed at a time
)

// Program is a model lowered for the CPU: activation buffers and the operations
// over them in the order in which they run. M stands for the tokens of a step
// and R for its rows that want logits.
type Program struct {
	VocabSize             int      `json:"vocab_size"`
	HiddenSize            int      `json:"hidden_size"`
	NumLayers             int      `json:"num_layers"`               // attention layers, hence KV caches
	MaxPositionEmbeddings int      `json:"max_position_embeddings"`  // the model's, or the max_seq_len built for when that is more
	WeightDtype           string   `json:"weight_dtype"`             // of what is not quantised: DtypeF32, DtypeBF16 or DtypeF16
	KVCacheDtype          string   `json:"kv_cache_dtype,omitempty"` // DtypeInt8 or DtypeFP8; "" is the runner's choice
	Buffers               []Buffer `json:"buffers"`
	Ops                   []Op     `json:"ops"`
}

// KVBytesPerToken is what a token takes in the KV cache of all layers: floats in exact
// arithmetic, in fast arithmetic numbers of KVCacheDtype, or bfloat16. Columns of keys fill
// words of 4 bytes, those of values panels.
func (p *Program) KVBytesPerToken(fast bool) int64 {
	numberBytes := int64(4)
	if fast {
		numberBytes = 2
		if p.KVCacheDtype != "" {
			numberBytes = 1
		}
	}
	up := func(n, multiple int64) int64 { return (n + multiple - 1) / multiple * multiple }
	var bytes int64
	for _, op := range p.Ops {
		if op.Kind == OpAttention {
			keys, values := up(int64(op.HeadSize)*numberBytes, 4), up(int64(op.HeadSize), PanelRows)*numberBytes
			bytes += int64(op.KVHeads) * (keys + values)
		}
	}
	return bytes
}

// Buffer is an activation of Width values for each token: [M, Width], or
// [R, Width] when Selected. Rows are padded to a multiple of PanelRows values;
// the padding is zero and stays zero.
type Buffer struct {
	Name  string `json:"name"`
	Width int    `json:"width"`
	// Selected buffers have a row for each wanted logits row only.
	Selected bool `json:"selected,omitempty"`
	// LinearInput buffers are read by linear operations only, so that a fast
	// runner may keep them in bfloat16. All others are float32.
	LinearInput bool `json:"linear_input,omitempty"`
}

// OpKind names an operation.
type OpKind string

// The operations. In and Out are indices into Program.Buffers, Weight, Bias and
// InvFreq indices into the section table; -1 is none.
const (
	// OpEmbedding writes row id of Weight [VocabSize, Width] to Out for each token.
	// Weight has LayoutRows or, when it is shared with the head, LayoutPanel.
	OpEmbedding OpKind = "embedding"
	// OpNorm normalises In into Out: Norm "rms" is x/sqrt(mean(x²)+Epsilon)·Weight,
	// "layer" is (x-mean)/sqrt(var+Epsilon)·Weight+Bias. Weights are float32.
	OpNorm OpKind = "norm"
	// OpLinear is Out = In·Weightᵀ + Bias, or Out += that when Accumulate.
	// Weight [N, K] has LayoutPanel; Bias is float32 [N]. With an InputScale s > 0, In,
	// a LinearInput buffer, is first made s·E4M3(In/s): rounded to the nearest number of
	// 8 bits with 4 of exponent and 3 of mantissa, ties to even, at most ±448. All that
	// reads the buffer before it is written again has the same InputScale.
	OpLinear OpKind = "linear"
	// OpAttention reads rows q‖k‖v [(Heads+2·KVHeads)·HeadSize] from In, rotates the
	// first RotaryDim values of each query and key head (rotate-half; angle =
	// position·InvFreq[j] rounded to float32), appends keys and values to the cache of Layer, and
	// writes softmax(q·kᵀ·Scale)·v [Heads·HeadSize] to Out. Query head h uses KV
	// head h/(Heads/KVHeads). With Window w > 0 a query at position p sees
	// positions max(0, p-w+1) … p.
	OpAttention OpKind = "attention"
	// OpActivation applies Function. Gated: In is a‖b of 2·Width values and
	// Out = f(a)·b; otherwise Out = f(In).
	OpActivation OpKind = "activation"
	// OpSelect copies the wanted rows of In [M, Width] to Out [R, Width]. It stands
	// once; the operations after it are on Selected buffers. The last operation of
	// the program writes the logits [R, VocabSize].
	OpSelect OpKind = "select"
)

// Activation functions.
const (
	FunctionSilu        = "silu"
	FunctionSquaredReLU = "squared-relu"
	FunctionReLU        = "relu"
	FunctionGelu        = "gelu"      // x/2·(1+erf(x/√2))
	FunctionGeluTanh    = "gelu-tanh" // the tanh approximation
)

// Norm kinds.
const (
	NormRMS   = "rms"
	NormLayer = "layer"
)

// Op is one operation. Only the fields of its kind are set; see the kinds.
type Op struct {
	Kind   OpKind `json:"kind"`
	Name   string `json:"name"` // as in the checkpoint, e.g. "layers.3.attention.qkv"
	In     int    `json:"in"`
	Out    int    `json:"out"`
	Weight int    `json:"weight"`
	Bias   int    `json:"bias"`

	Norm    string  `json:"norm,omitempty"`
	Epsilon float32 `json:"epsilon,omitempty"`

	N          int  `json:"n,omitempty"`
	K          int  `json:"k,omitempty"`
	Accumulate bool `json:"accumulate,omitempty"`
	// InputScale is 0 where the input is taken as it is.
	InputScale float32 `json:"input_scale,omitempty"`

	Layer     int     `json:"layer,omitempty"`
	Heads     int     `json:"heads,omitempty"`
	KVHeads   int     `json:"kv_heads,omitempty"`
	HeadSize  int     `json:"head_size,omitempty"`
	RotaryDim int     `json:"rotary_dim,omitempty"`
	InvFreq   int     `json:"inv_freq"`
	Scale     float32 `json:"scale,omitempty"`
	Window    int     `json:"window,omitempty"`

	// KVScale is what a number of a KV cache of KVCacheDtype is multiplied by; 0 without one.
	KVScale float32 `json:"kv_scale,omitempty"`
	// OutFactor is a section, float32 [Width of Out], that the output of an attention or
	// an activation is multiplied by; -1 is none.
	OutFactor int `json:"out_factor"`

	Function string `json:"function,omitempty"`
	Gated    bool   `json:"gated,omitempty"`
	Width    int    `json:"width,omitempty"`
}

// Dtypes and layouts of sections.
const (
	DtypeF32    = "f32"
	DtypeBF16   = "bf16"
	DtypeF16    = "f16"
	DtypeInt8   = "int8"    // signed, with a scale for each output
	DtypeInt4   = "int4"    // signed, with a scale for each output, or for each Group of inputs of it
	DtypeFP8    = "fp8"     // E4M3, with a scale for each output
	LayoutRows  = "rows"    // [Rows, Cols], or [Cols] for vectors (Rows 1)
	LayoutPanel = "panel16" // packed, see the package comment
)

// Section is one weight in the file.
type Section struct {
	Name   string `json:"name"` // as in the checkpoint
	Dtype  string `json:"dtype"`
	Layout string `json:"layout"`
	Rows   int    `json:"rows"`
	Cols   int    `json:"cols"`
	// Group, ScaleDtype and Zeros describe an int4 weight with a scale for each group of
	// inputs; see the package comment. ScaleDtype is DtypeBF16 or DtypeF32.
	Group      int    `json:"group,omitempty"`
	ScaleDtype string `json:"scale_dtype,omitempty"`
	Zeros      bool   `json:"zeros,omitempty"`

	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
	CRC32C uint32 `json:"crc32c"`
}
