// Package engineconfig is the config.json of an engine directory: TensorRT-LLM's
// keys (version, pretrained_config, build_config) as its C++ runtime 1.2 parses
// them, and a "trtgo" object about engines of the CPU backend. build writes it
// and trtllm reads it; neither imports the other.
//
//	c, err := engineconfig.Read("engine")
//	if errors.Is(err, engineconfig.ErrInvalid) { … }
//	fmt.Println(c.Pretrained.Architecture, c.Build.MaxSeqLen, c.Backend())
//
// A config that was read may be used by several goroutines. Keys that this
// package does not know are kept in pretrained_config and dropped elsewhere.
package engineconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/trtgo/trtgo/internal/outputdir"
	"github.com/trtgo/trtgo/internal/regularfile"
)

const (
	// FileName is the name of the config in an engine directory.
	FileName = "config.json"
	// RuntimeVersion is the release of TensorRT-LLM whose format is written.
	RuntimeVersion = "1.2.1"

	maxSize = 16 << 20 // bytes of config.json
)

// Backends of Trtgo.Backend and Config.Backend.
const (
	BackendCPU         = "cpu"
	BackendTensorRTLLM = "tensorrt-llm"
	BackendTensorRTRTX = "tensorrt-rtx"
)

// ErrInvalid is wrapped by errors about a directory that holds no engine or a
// config that is damaged or contradicts itself.
var ErrInvalid = errors.New("not a valid engine")

// EngineName is the file name of a rank's engine.
func EngineName(rank int) string { return fmt.Sprintf("rank%d.engine", rank) }

// ManagedWeightsName is the file name of the weights of a rank that are inputs of its
// engine, which the runtime opens beside it.
func ManagedWeightsName(rank int) string {
	return fmt.Sprintf("rank%d_managed_weights.safetensors", rank)
}

// Config is config.json.
type Config struct {
	Version    string     // of TensorRT-LLM
	Pretrained Pretrained // what is needed of pretrained_config
	// PretrainedJSON is pretrained_config as it was read, and what is written.
	PretrainedJSON json.RawMessage
	Build          Build
	Trtgo          *Trtgo // nil in engines that TensorRT-LLM's tools built
}

// Trtgo is this project's part.
type Trtgo struct {
	Backend  string   `json:"backend"`
	Producer Producer `json:"producer"`
	// WeightDtype is the dtype of linear weights as the engine has them: float32 or
	// bfloat16 for the CPU, otherwise the checkpoint's dtype or its quant_algo.
	WeightDtype string `json:"weight_dtype,omitempty"`

	// Of CPU engines.
	FormatVersion int   `json:"format_version,omitempty"` // of rank0.engine
	WeightBytes   int64 `json:"weight_bytes,omitempty"`
	TiedHead      bool  `json:"tied_head,omitempty"` // lm_head shares the embedding's section

	// Of engines for TensorRT: they run with this version of the library only, e.g.
	// "10.14.1", and on these compute capabilities, e.g. "8.9", of which TensorRT-LLM's
	// have that of the GPU that built them. Builder is trtllm-build where that built the
	// engine. What is empty was not known.
	TensorRT            string   `json:"tensorrt,omitempty"`
	ComputeCapabilities []string `json:"compute_capabilities,omitempty"`
	Builder             string   `json:"builder,omitempty"`
}

// Producer is the program that built the engine.
type Producer struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Pretrained is the part of pretrained_config that a runtime needs. Sizes are
// the whole model's.
type Pretrained struct {
	Architecture          string `json:"architecture"`
	Dtype                 string `json:"dtype"`
	LogitsDtype           string `json:"logits_dtype"`
	VocabSize             int    `json:"vocab_size"`
	HiddenSize            int    `json:"hidden_size"`
	NumHiddenLayers       int    `json:"num_hidden_layers"`
	NumAttentionHeads     int    `json:"num_attention_heads"`
	NumKeyValueHeads      int    `json:"num_key_value_heads"`
	HeadSize              int    `json:"head_size"`
	IntermediateSize      int    `json:"intermediate_size"`
	MaxPositionEmbeddings int    `json:"max_position_embeddings"`
	Mapping               struct {
		WorldSize int `json:"world_size"`
		TPSize    int `json:"tp_size"`
		PPSize    int `json:"pp_size"`
		CPSize    int `json:"cp_size"`
	} `json:"mapping"`
	Quantization struct {
		QuantAlgo        *string `json:"quant_algo"`
		KVCacheQuantAlgo *string `json:"kv_cache_quant_algo"`
	} `json:"quantization"`
	RuntimeDefaults struct {
		MaxAttentionWindow []int `json:"max_attention_window"`
	} `json:"runtime_defaults"`
}

// Backend tells what runs the engine: that of the trtgo object, otherwise TensorRT-LLM.
func (c *Config) Backend() string {
	if c.Trtgo == nil {
		return BackendTensorRTLLM
	}
	return c.Trtgo.Backend
}

// Match refuses a config beside an engine file of another model, whose numbers
// the arguments are.
func (c *Config) Match(numLayers, hiddenSize, vocabSize int) error {
	p := &c.Pretrained
	if numLayers == p.NumHiddenLayers && hiddenSize == p.HiddenSize && vocabSize == p.VocabSize {
		return nil
	}
	return fmt.Errorf("%w: the engine file has %d layers of hidden size %d and %d tokens, config.json %d, %d and %d: they are of different engines",
		ErrInvalid, numLayers, hiddenSize, vocabSize, p.NumHiddenLayers, p.HiddenSize, p.VocabSize)
}

// file is the JSON form.
type file struct {
	Version    string          `json:"version"`
	Pretrained json.RawMessage `json:"pretrained_config"`
	Build      *Build          `json:"build_config"`
	Trtgo      *Trtgo          `json:"trtgo,omitempty"`
}

// MarshalJSON writes version, pretrained_config (PretrainedJSON), build_config and trtgo.
func (c *Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(file{c.Version, c.PretrainedJSON, &c.Build, c.Trtgo})
}

// Text is the file's text, indented as TensorRT-LLM's.
func (c *Config) Text() ([]byte, error) {
	compact, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "    "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// IsEngine tells whether dir holds a config.json that looks like an engine's. It
// need not be valid.
func IsEngine(dir string) bool {
	text, err := readText(dir)
	if err != nil {
		return false
	}
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		// A damaged engine is still one: let Read say what is wrong.
		return bytes.Contains(text, []byte(`"build_config"`)) && bytes.Contains(text, []byte(`"pretrained_config"`))
	}
	return f.Build != nil && f.Pretrained != nil
}

// Read reads the config of the engine in dir. Errors name the file and wrap
// [ErrInvalid] or are the file system's (fs.ErrNotExist when there is no config).
func Read(dir string) (*Config, error) {
	if outputdir.Partial(dir) {
		return nil, fmt.Errorf("%s: %w: it is what an interrupted build left behind; build again", dir, ErrInvalid)
	}
	text, err := readText(dir)
	if err != nil {
		return nil, err
	}
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, FileName), err)
	}
	return c, nil
}

func readText(dir string) ([]byte, error) {
	text, err := regularfile.Read(filepath.Join(dir, FileName), maxSize)
	if errors.Is(err, regularfile.ErrRefused) {
		err = fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return text, err
}

// Parse reads config.json's text and checks it.
func Parse(text []byte) (*Config, error) {
	var f file
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if f.Version == "" {
		return nil, fmt.Errorf("%w: version is missing: it was built by TensorRT-LLM before 0.9, or is no engine", ErrInvalid)
	}
	if len(f.Pretrained) == 0 || bytes.Equal(f.Pretrained, []byte("null")) || f.Build == nil {
		return nil, fmt.Errorf("%w: pretrained_config or build_config is missing", ErrInvalid)
	}
	c := &Config{Version: f.Version, PretrainedJSON: f.Pretrained, Build: *f.Build, Trtgo: f.Trtgo}
	if err := json.Unmarshal(f.Pretrained, &c.Pretrained); err != nil {
		return nil, fmt.Errorf("%w: pretrained_config: %w", ErrInvalid, err)
	}
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return c, nil
}

// complete fills in what the runtime derives, and checks the numbers.
func (c *Config) complete() error {
	p := &c.Pretrained
	if p.Architecture == "" {
		return errors.New("pretrained_config.architecture is missing")
	}
	if p.NumKeyValueHeads == 0 {
		p.NumKeyValueHeads = p.NumAttentionHeads
	}
	if p.HeadSize == 0 && p.NumAttentionHeads > 0 {
		p.HeadSize = p.HiddenSize / p.NumAttentionHeads
	}
	for _, n := range []*int{&p.Mapping.TPSize, &p.Mapping.PPSize, &p.Mapping.CPSize} {
		if *n == 0 {
			*n = 1
		}
	}
	const most = 1 << 30
	for _, f := range []struct {
		key        string
		value, min int
	}{
		{"pretrained_config.vocab_size", p.VocabSize, 1}, {"pretrained_config.hidden_size", p.HiddenSize, 1},
		{"pretrained_config.num_hidden_layers", p.NumHiddenLayers, 1}, {"pretrained_config.num_attention_heads", p.NumAttentionHeads, 1},
		{"pretrained_config.num_key_value_heads", p.NumKeyValueHeads, 1}, {"pretrained_config.head_size", p.HeadSize, 1},
		{"pretrained_config.max_position_embeddings", p.MaxPositionEmbeddings, 0}, {"pretrained_config.intermediate_size", p.IntermediateSize, 0},
		{"pretrained_config.mapping.tp_size", p.Mapping.TPSize, 1}, {"pretrained_config.mapping.pp_size", p.Mapping.PPSize, 1},
		{"build_config.max_batch_size", c.Build.MaxBatchSize, 1}, {"build_config.max_seq_len", c.Build.MaxSeqLen, 1},
		{"build_config.max_num_tokens", c.Build.MaxNumTokens, 1}, {"build_config.max_input_len", c.Build.MaxInputLen, 1},
		{"build_config.max_beam_width", c.Build.MaxBeamWidth, 1},
	} {
		if f.value < f.min || f.value > most {
			return fmt.Errorf("%s is %d, want %d … %d", f.key, f.value, f.min, most)
		}
	}
	for _, w := range p.RuntimeDefaults.MaxAttentionWindow {
		if w < 1 {
			return fmt.Errorf("pretrained_config.runtime_defaults.max_attention_window has %d", w)
		}
	}
	if t := c.Trtgo; t != nil && t.Backend == "" {
		return errors.New("trtgo.backend is missing")
	}
	return nil
}
