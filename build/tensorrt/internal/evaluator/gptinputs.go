package evaluator

import (
	"fmt"
	"math"
	"strings"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// gptInputs are the inputs of GPTAttention.
type gptInputs struct {
	qkv                                                     *Tensor
	sequenceLength, pastLength, window, sink, contextLength []int64
	indirection                                             *Tensor // [batch, beam, max_seq_len]
	requestTypes                                            []int64
	offsets, hostOffsets                                    *Tensor // [pools, sequences, 2, blocks]
	poolPointers, poolMapping                               []int64
	toQuantised, fromQuantised                              float32
	outputToQuantised                                       float32
	invFreq, cosSin                                         []float32
	hostContextLength                                       []int64
}

// reader takes inputs one after the other: which ones there are follows from the fields,
// and each one's place from those before it.
type reader struct {
	in   []*Tensor
	host func(i int) bool // whether an input lies in the CPU's memory
	next int
	err  error
}

func (r *reader) take(name string, t graph.DataType, rank int) *Tensor {
	at := r.next
	r.next++
	switch {
	case at >= len(r.in):
		if r.err == nil {
			r.err = fmt.Errorf("input %d, %s, is missing", at, name)
		}
	case r.err == nil && r.host(at) != strings.HasPrefix(name, "host_"):
		r.err = fmt.Errorf("input %d is in the wrong memory for %s", at, name)
	case r.in[at].Type == t && len(r.in[at].Shape) == rank:
		return r.in[at]
	case r.err == nil:
		r.err = fmt.Errorf("input %d is %s, %s is %s of rank %d", at, r.in[at], name, t, rank)
	}
	return newTensor(t, make([]int64, rank))
}

func (r *reader) ints(name string) []int64 { return r.take(name, graph.Int32, 1).Int }

func gptInputsOf(g gptFields, c *call) (gptInputs, error) {
	r := &reader{in: c.in, host: c.host}
	var in gptInputs
	in.qkv = r.take("qkv", g.dtype, 2)
	in.sequenceLength = r.ints("sequence_length")
	in.pastLength = r.ints("host_past_key_value_lengths")
	in.window = r.ints("host_max_attention_window_sizes")
	in.sink = r.ints("host_sink_token_length")
	in.contextLength = r.ints("context_lengths")
	in.indirection = r.take("cache_indirection", graph.Int32, 3)
	in.requestTypes = r.ints("host_request_types")
	in.offsets = r.take("kv_cache_block_offsets", graph.Int32, 4)
	in.hostOffsets = r.take("host_kv_cache_block_offsets", graph.Int32, 4)
	in.poolPointers = r.take("host_kv_cache_pool_pointers", graph.Int64, 2).Int
	in.poolMapping = r.take("host_kv_cache_pool_mapping", graph.Int32, 2).Int
	if g.fp8Cache {
		in.toQuantised, in.fromQuantised = r.number("kv_orig_quant_scale"), r.number("kv_quant_orig_scale")
	}
	if g.fp8Output {
		in.outputToQuantised = r.number("attention_output_orig_quant_scale")
	}
	if g.rotaryDim > 0 {
		in.invFreq = r.take("rotary_inv_freq", graph.Float, 1).Float
		in.cosSin = r.take("rotary_cos_sin", graph.Float, 2).Float
	}
	in.hostContextLength = r.ints("host_context_lengths")
	knobs, progress := r.take("host_runtime_perf_knobs", graph.Int64, 1).Int, r.take("host_context_progress", graph.Int64, 1).Int
	if r.err == nil && (len(knobs) != 16 || len(progress) != 1) {
		r.err = fmt.Errorf("%d knobs and %d numbers of progress, want 16 and 1", len(knobs), len(progress))
	}
	if r.err == nil {
		r.err = c.inputs(r.next)
	}
	if r.err == nil {
		r.err = in.check(g)
	}
	return in, r.err
}

func (r *reader) number(name string) float32 {
	t := r.take(name, graph.Float, 1)
	if len(t.Float) != 1 {
		if r.err == nil {
			r.err = fmt.Errorf("%s has %d values", name, len(t.Float))
		}
		return 0
	}
	return t.Float[0]
}

// check compares inputs with each other: what is in them twice must agree, so that
// inputs of one type that changed places are noticed.
func (in *gptInputs) check(g gptFields) error {
	n := len(in.requestTypes)
	for _, list := range [][]int64{in.sequenceLength, in.pastLength, in.contextLength, in.hostContextLength} {
		if len(list) != n {
			return fmt.Errorf("there are %d requests and %d lengths", n, len(list))
		}
	}
	if width := int64((g.heads + 2*g.kvHeads) * g.headSize); in.qkv.Shape[1] != width {
		return fmt.Errorf("q‖k‖v has %d columns, want %d", in.qkv.Shape[1], width)
	}
	if err := in.checkRotary(g); err != nil {
		return err
	}
	if g.layer >= len(in.window) || 2*g.layer+1 >= len(in.poolMapping) {
		return fmt.Errorf("layer %d of %d windows and %d places in pools", g.layer, len(in.window), len(in.poolMapping)/2)
	}
	if len(in.sink) != 1 || in.sink[0] != 0 {
		return fmt.Errorf("the evaluator has no sink tokens, host_sink_token_length is %v", in.sink)
	}
	for i, v := range in.offsets.Int {
		if in.hostOffsets.Int[i] != v {
			return fmt.Errorf("block offset %d is %d, on the host %d", i, v, in.hostOffsets.Int[i])
		}
	}
	return in.checkRequests()
}

// checkRotary compares the two tables: some kernels read the frequencies, others cosines and
// sines, so both must say the same.
func (in *gptInputs) checkRotary(g gptFields) error {
	if g.rotaryDim == 0 {
		return nil
	}
	if len(in.invFreq) != g.rotaryDim/2 || len(in.cosSin) != g.maxPositions*g.rotaryDim {
		return fmt.Errorf("%d frequencies and %d cosines and sines for %d positions of %d that turn", len(in.invFreq), len(in.cosSin), g.maxPositions, g.rotaryDim)
	}
	for position := range min(g.maxPositions, 64) {
		for j, f := range in.invFreq {
			cos, sin := float64(in.cosSin[position*g.rotaryDim+2*j]), float64(in.cosSin[position*g.rotaryDim+2*j+1])
			wantSin, wantCos := math.Sincos(float64(position) * float64(f))
			length := math.Hypot(cos, sin) // yarn makes it longer than 1
			if !(math.Abs(cos/length-wantCos) < 1e-4 && math.Abs(sin/length-wantSin) < 1e-4) {
				return fmt.Errorf("position %d: cosine %g and sine %g are not those of frequency %g", position, cos, sin, f)
			}
		}
	}
	return nil
}

func (in *gptInputs) checkRequests() error {
	tokens := int64(0)
	for i, kind := range in.requestTypes {
		past := in.sequenceLength[i]
		switch {
		case kind == 0 && i > 0 && in.requestTypes[i-1] == 1:
			return fmt.Errorf("request %d is a context behind a generation", i)
		case kind == 0:
			tokens += in.contextLength[i]
		case kind == 1:
			tokens++
			past--
		default:
			return fmt.Errorf("request %d has type %d", i, kind)
		}
		if in.pastLength[i] != past || in.hostContextLength[i] != in.contextLength[i] || in.sequenceLength[i] < in.contextLength[i] {
			return fmt.Errorf("request %d of type %d has sequence_length %d, host_past_key_value_lengths %d, context_lengths %d, host_context_lengths %d",
				i, kind, in.sequenceLength[i], in.pastLength[i], in.contextLength[i], in.hostContextLength[i])
		}
	}
	if tokens != in.qkv.Shape[0] {
		return fmt.Errorf("the requests have %d tokens, q‖k‖v %d rows", tokens, in.qkv.Shape[0])
	}
	return nil
}
