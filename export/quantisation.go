package export

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// Forms of weights that Options.QFormat names, as upstream's quantize.py does.
const (
	QFormatFullPrec = "full_prec" // no quantisation: the source's is undone
	QFormatFP8      = "fp8"       // of a source that is FP8
	QFormatInt4AWQ  = "int4_awq"  // of a checkpoint that is W4A16_AWQ
	QFormatInt8WO   = "int8_wo"   // 8-bit weights, rounded by the builder
	QFormatInt4WO   = "int4_wo"   // 4-bit weights, likewise
)

// kept are the formats that only a source that has them already can be given in.
var kept = map[string]string{QFormatFP8: checkpoint.FP8, QFormatInt4AWQ: checkpoint.W4A16AWQ}

// weightOnly are the formats whose weights alone are rounded by the builder.
var weightOnly = map[string]string{QFormatInt8WO: checkpoint.W8A16, QFormatInt4WO: checkpoint.W4A16}

// laterFormats are quantize.py's other ones.
var laterFormats = []string{"w4a8_awq", "int8_sq", "fp8_pc_pt", "nvfp4"}

// KV caches that Options.KVCacheDtype names.
const (
	KVCacheNone = "none"
	KVCacheFP8  = "fp8"
	KVCacheInt8 = "int8"
)

// TargetVersions are the releases of TensorRT-LLM that checkpoints can be written
// for, the default first. They read the same keys, and every tensor that is
// written means the same to both: what differs between releases
// (share_embedding_table, the layers of the last stage, scales of an FP8 KV cache
// that were taken for 1, a quantised lm_head) changed before 1.0, so that nothing
// depends on the choice yet. It is recorded in the config's producer.
var TargetVersions = []string{"1.2", "1.1"}

func (o *Options) validateFormat() error {
	_, quantised := kept[o.QFormat]
	_, rounded := weightOnly[o.QFormat]
	switch {
	case o.QFormat == "", o.QFormat == QFormatFullPrec, quantised, rounded:
	case slices.Contains(laterFormats, o.QFormat):
		return fmt.Errorf("qformat %s is %w yet: it is planned for a later release, with calibration", o.QFormat, ErrUnsupported)
	default:
		return fmt.Errorf("%w: qformat %q is none of full_prec, fp8, int8_wo, int4_wo, int4_awq", ErrOption, o.QFormat)
	}
	switch {
	case o.GroupSize == 0:
	case o.QFormat != QFormatInt4WO:
		return fmt.Errorf("%w: group_size %d is for qformat int4_wo", ErrOption, o.GroupSize)
	case !slices.Contains(GroupSizes, o.GroupSize):
		return fmt.Errorf("%w: group_size %d is none of 32, 64, 128", ErrOption, o.GroupSize)
	}
	switch o.KVCacheDtype {
	case "", KVCacheNone, KVCacheFP8, KVCacheInt8:
	default:
		return fmt.Errorf("%w: kv_cache_dtype %q is none of none, fp8, int8", ErrOption, o.KVCacheDtype)
	}
	if o.TargetVersion != "" && !slices.Contains(TargetVersions, o.TargetVersion) {
		return fmt.Errorf("%w: target_version %q is none of %s", ErrOption, o.TargetVersion, strings.Join(TargetVersions, ", "))
	}
	return nil
}

// quantise turns the source's quantisation in c into the target's.
func (o *Options) quantise(c *checkpoint.Config) error {
	have := c.Quantization
	algo, keep := kept[o.QFormat]
	keep = keep || o.QFormat == ""
	switch {
	case algo != "" && have.QuantAlgo != algo:
		is := "not quantised"
		if have.QuantAlgo != "" {
			is = have.QuantAlgo
		}
		return fmt.Errorf("qformat %s of a source that is %s is %w yet: it needs calibration, which is planned for a later release", o.QFormat, is, ErrUnsupported)
	case o.GroupSize != 0 && have.QuantAlgo == checkpoint.W4A16AWQ:
		return fmt.Errorf("%w: a source that is %s has groups of its own; leave group_size out", ErrOption, have.QuantAlgo)
	case o.GroupSize != 0:
		c.Quantization = checkpoint.Quantization{QuantAlgo: checkpoint.W4A16AWQ, GroupSize: int64(o.GroupSize), PreQuantScale: true, ExcludeModules: []string{"lm_head"}}
	case !keep:
		c.Quantization = checkpoint.Quantization{QuantAlgo: weightOnly[o.QFormat]}
	}
	cache := map[string]string{KVCacheFP8: "FP8", KVCacheInt8: "INT8"}[o.KVCacheDtype]
	switch {
	case cache != "" && cache != have.KVCacheQuantAlgo:
		return fmt.Errorf("kv_cache_dtype %s of a source without scales for it is %w yet: it needs calibration, which is planned for a later release", o.KVCacheDtype, ErrUnsupported)
	case cache != "":
		c.Quantization.KVCacheQuantAlgo = cache
	case o.KVCacheDtype == KVCacheNone || !keep:
		c.Quantization.KVCacheQuantAlgo = ""
	}
	if c.Quantization.ExcludesLayers() && o.PPSize > 1 {
		return fmt.Errorf("%w: pp_size %d, but the layers that are not quantised have numbers (%s), which TensorRT-LLM counts from 0 on every stage: use pp_size 1, or qformat full_prec",
			ErrMapping, o.PPSize, strings.Join(c.Quantization.ExcludeModules, ", "))
	}
	return nil
}

// fusedModule names the linear that a weight of the whole model becomes rows of, in
// the whole model.
func fusedModule(weight string) string {
	module := strings.TrimSuffix(weight, ".weight")
	for _, part := range []string{".q", ".k", ".v"} {
		if layer, ok := strings.CutSuffix(module, ".attention"+part); ok {
			return layer + ".attention.qkv"
		}
	}
	return module
}

// fp8Scales are those of the linears of a target.
type fp8Scales struct {
	weight, input map[string]float32 // of fused modules: the largest of their parts
}

// add hears of a weight that will be E4M3 in the target.
func (s *fp8Scales) add(name string, t source.Tensor) error {
	if t.Dtype != floatformat.E4M3 {
		return fmt.Errorf("tensor %s: FP8 from %s is %w yet: it needs calibration, which is planned for a later release", t.Origin, t.Dtype, ErrUnsupported)
	}
	if t.InputScale == 0 {
		return fmt.Errorf("tensor %s: FP8 without a scale of the linear's input is %w: the source rounds its inputs by scales found at run time (dynamic), TensorRT-LLM's by fixed ones; export with qformat full_prec",
			t.Origin, ErrUnsupported)
	}
	if err := checkScale(t.Origin, "the scale of its input", t.InputScale); err != nil {
		return err
	}
	module := fusedModule(name)
	s.weight[module] = max(s.weight[module], t.Scale)
	s.input[module] = max(s.input[module], t.InputScale)
	return nil
}

// of gives the value of a scale's tensor. fc and gate read one input, so that its
// scale is the larger of theirs.
func (s *fp8Scales) of(name string) (float32, bool) {
	if module, ok := strings.CutSuffix(name, checkpoint.WeightScale); ok {
		v, ok := s.weight[module]
		return v, ok
	}
	module, ok := strings.CutSuffix(name, checkpoint.InputScale)
	if !ok {
		return 0, false
	}
	v, ok := s.input[module]
	if layer, found := strings.CutSuffix(module, ".mlp.fc"); found {
		v = max(v, s.input[layer+".mlp.gate"])
	}
	if layer, found := strings.CutSuffix(module, ".mlp.gate"); found {
		v = max(v, s.input[layer+".mlp.fc"])
	}
	return v, ok
}

// cacheScale gives the scale of a layer's keys and values: the larger of the two.
func cacheScale(m source.Model, name string) (float32, error) {
	scaled, ok := m.(source.CacheScaler)
	if !ok {
		return 0, fmt.Errorf("%w: the source has no scales for its quantised KV cache: export with kv_cache_dtype none", ErrInvalid)
	}
	var layer int64
	if _, err := fmt.Sscanf(name, "transformer.layers.%d.", &layer); err != nil {
		return 0, fmt.Errorf("%w: no layer is known for %s", ErrInvalid, name)
	}
	k, v, err := scaled.CacheScales(layer)
	if err != nil {
		return 0, err
	}
	for _, s := range []float32{k, v} {
		if err := checkScale(fmt.Sprintf("layer %d", layer), "a scale of its KV cache", s); err != nil {
			return 0, err
		}
	}
	return max(k, v), nil
}

// checkScale refuses what no number can be multiplied by.
func checkScale(origin, what string, s float32) error {
	if !(s > 0) || math.IsInf(float64(s), 0) {
		return fmt.Errorf("%w: %s: %s is %g, not a number above 0", ErrInvalid, origin, what, s)
	}
	return nil
}

// number is a tensor of one F32.
func number(v float32) source.Tensor {
	return source.Tensor{Dtype: "F32", Shape: []int64{1}, Rows: constant(v)}
}

type constant float32

// ReadRows implements [source.RowReader].
func (c constant) ReadRows(dst []byte, row int64) error {
	binary.LittleEndian.PutUint32(dst, math.Float32bits(float32(c)))
	return nil
}
