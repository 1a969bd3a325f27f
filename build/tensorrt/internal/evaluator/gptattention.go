package evaluator

import (
	"fmt"
	"math"
	"strings"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// Bits of kv_cache_quant_mode, TensorRT-LLM's QuantMode. It says how linears are quantised as well,
// by integers, groups of them or FP8, which attention does not read.
const (
	fp8KVCache  = 1 << 7
	otherLinear = 1<<0 | 1<<1 | 1<<5 | 1<<8
)

// gptFields are the fields that say what GPTAttention computes.
type gptFields struct {
	layer, heads, kvHeads, headSize int
	scale                           float32 // of the scores
	rotaryDim                       int     // 0 where there is none
	interleaved                     bool    // pairs are neighbours (rope_gptj)
	maxPositions                    int
	fp8Cache, pagedContext          bool
	fp8Output                       bool // use_fp8_context_fmha: a linear of FP8 comes next
	tokensPerBlock                  int
	dtype                           graph.DataType
}

// unused are fields that must be as a decoder without the feature has them.
var unused = []struct {
	name string
	t    graph.FieldType
	want int
}{
	{"vision_start", graph.FieldInt32, -1}, {"vision_length", graph.FieldInt32, -1}, {"unidirectional", graph.FieldInt32, 1},
	{"unfuse_qkv_gemm", graph.FieldInt8, 0}, {"use_logn_scaling", graph.FieldInt8, 0}, {"remove_input_padding", graph.FieldInt8, 1},
	{"mask_type", graph.FieldInt32, 1}, {"block_sparse_homo_head_pattern", graph.FieldInt8, 0}, {"paged_kv_cache", graph.FieldInt32, 1},
	{"qkv_bias_enabled", graph.FieldInt8, 0}, {"do_cross_attention", graph.FieldInt8, 0}, {"max_distance", graph.FieldInt32, 0},
	{"pos_shift_enabled", graph.FieldInt8, 0}, {"dense_context_fmha", graph.FieldInt8, 0},
	{"has_full_attention_mask", graph.FieldInt8, 0}, {"use_cache", graph.FieldInt32, 1}, {"is_spec_decoding_enabled", graph.FieldInt8, 0},
	{"spec_decoding_is_generation_length_variable", graph.FieldInt8, 0}, {"spec_decoding_max_generation_length", graph.FieldInt32, 1},
	{"is_mla_enabled", graph.FieldInt8, 0}, {"q_lora_rank", graph.FieldInt32, 0}, {"kv_lora_rank", graph.FieldInt32, 0},
	{"qk_nope_head_dim", graph.FieldInt32, 0}, {"qk_rope_head_dim", graph.FieldInt32, 0}, {"v_head_dim", graph.FieldInt32, 0},
	{"fuse_fp4_quant", graph.FieldInt8, 0}, {"skip_attn", graph.FieldInt8, 0}, {"cp_size", graph.FieldInt32, 1}, {"cp_rank", graph.FieldInt32, 0},
}

// gptFieldsOf parses all fields of release 1.2.
func gptFieldsOf(f *fields) (gptFields, error) {
	g := gptFields{
		layer: f.int32("layer_idx"), heads: f.int32("num_heads"), kvHeads: f.int32("num_kv_heads"), headSize: f.int32("head_size"),
		rotaryDim: f.int32("rotary_embedding_dim"), maxPositions: f.int32("rotary_embedding_max_positions"),
		pagedContext: f.int8("use_paged_context_fmha") != 0, tokensPerBlock: f.int32("tokens_per_block"),
	}
	for _, u := range unused {
		f.must(u.name, f.integer(u.name, u.t), u.want)
	}
	for _, name := range []string{"num_kv_heads_origin", "rotary_embedding_original_max_positions", "tp_size", "tp_rank", "max_context_length",
		"block_sparse_block_size", "block_sparse_num_local_blocks", "block_sparse_vertical_stride"} {
		f.int32(name) // nothing that is computed here depends on them
	}
	f.int8("rotary_embedding_scale_type")
	g.fp8Output = f.int8("use_fp8_context_fmha") != 0
	if fused := f.int8("context_fmha_type"); g.fp8Output && fused == 0 {
		return g, fmt.Errorf("use_fp8_context_fmha without context_fmha_type")
	}
	for _, name := range []string{"rotary_embedding_base", "rotary_embedding_scale", "rotary_embedding_short_m_scale", "rotary_embedding_long_m_scale"} {
		f.float(name) // they are in the tables
	}
	f.find("cp_group", graph.FieldInt32, 1<<16)
	g.scale = float32(1 / (float64(f.float("q_scaling")) * math.Sqrt(float64(g.headSize))))
	if cap := f.float("attn_logit_softcapping_scale"); cap != 0 {
		return g, fmt.Errorf("the evaluator has no attn_logit_softcapping_scale, it is %g", cap)
	}
	mode := f.int32("kv_cache_quant_mode")
	g.fp8Cache = mode&fp8KVCache != 0
	if mode&^(fp8KVCache|otherLinear) != 0 {
		return g, fmt.Errorf("the evaluator has no kv_cache_quant_mode %d", mode)
	}
	position := f.int8("position_embedding_type")
	g.interleaved = position == 1
	if rope := position == 1 || position == 2; rope != (g.rotaryDim != 0) || position > 2 {
		return g, fmt.Errorf("position_embedding_type %d does not go with rotary_embedding_dim %d", position, g.rotaryDim)
	}
	var err error
	if g.dtype, err = dataType(f.int32("type_id")); err != nil {
		return g, err
	}
	if f.err == nil && (g.kvHeads < 1 || g.heads%g.kvHeads != 0 || g.headSize < 1 || g.rotaryDim > g.headSize || g.tokensPerBlock < 1) {
		return g, fmt.Errorf("%d heads of size %d, %d KV heads, %d of a head turning, %d tokens a block", g.heads, g.headSize, g.kvHeads, g.rotaryDim, g.tokensPerBlock)
	}
	return g, f.err
}

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

// gptAttention is TensorRT-LLM's attention of packed tokens over a paged cache: contexts,
// whole or in chunks, before generations, whose beams find the past of theirs by
// cache_indirection.
func gptAttention(c *call) (*Tensor, error) {
	g, err := gptFieldsOf(c.fields)
	if err != nil {
		return nil, err
	}
	in, err := gptInputsOf(g, c)
	if err != nil {
		return nil, err
	}
	cache, err := cacheOf(g, &in, c.Memory, c.Typed)
	if err != nil {
		return nil, err
	}
	out := newTensor(g.dtype, []int64{in.qkv.Shape[0], int64(g.heads * g.headSize)})
	beams, generation, token := int(in.indirection.Shape[1]), 0, 0
	for i, kind := range in.requestTypes {
		length := int(in.sequenceLength[i])
		s := sequence{gptFields: g, in: &in, cache: cache, index: i, first: length - 1}
		if kind == 0 {
			s.first = length - int(in.contextLength[i])
			s.context = true
		} else {
			s.request, s.beam, s.beams = generation/beams, generation%beams, beams
			generation++
		}
		if err := s.attend(out, token, length-s.first); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		token += length - s.first
	}
	if generation%beams != 0 {
		return nil, fmt.Errorf("%d generations are not in groups of %d beams", generation, beams)
	}
	if g.fp8Output {
		return out.quantised(in.outputToQuantised), nil
	}
	return out, nil
}

// quantised multiplies by a factor and rounds to FP8.
func (t *Tensor) quantised(factor float32) *Tensor {
	out := newTensor(graph.FP8, t.Shape)
	for i, v := range t.Float {
		out.Float[i] = floatformat.FromE4M3(floatformat.ToE4M3(v * factor))
	}
	return out
}

// sequence is one row of the batch.
type sequence struct {
	gptFields
	in                   *gptInputs
	cache                *blockCache
	index                int // among all
	first                int // position of the first token of this step
	context              bool
	request, beam, beams int // of a generation, among those
}

// attend takes n tokens: all of them go into the cache before any looks back.
func (s *sequence) attend(out *Tensor, token, n int) error {
	width := (s.heads + 2*s.kvHeads) * s.headSize
	rows := make([][]float32, n)
	for i := range rows {
		rows[i] = append([]float32(nil), s.in.qkv.Float[(token+i)*width:(token+i+1)*width]...)
		if err := s.rotate(rows[i], s.first+i); err != nil {
			return err
		}
		kv := s.heads * s.headSize
		if err := s.cache.write(s.index, s.first+i, rows[i][kv:kv+s.kvHeads*s.headSize], rows[i][kv+s.kvHeads*s.headSize:]); err != nil {
			return err
		}
	}
	for i, row := range rows {
		for h := range s.heads {
			if err := s.head(out.Float[((token+i)*s.heads+h)*s.headSize:][:s.headSize], row[h*s.headSize:], h, s.first+i, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// rotate turns queries and keys by the table of cosines and sines.
func (s *sequence) rotate(row []float32, position int) error {
	if s.rotaryDim == 0 {
		return nil
	}
	if position >= s.maxPositions {
		return fmt.Errorf("position %d is outside the table of %d", position, s.maxPositions)
	}
	table := s.in.cosSin[position*s.rotaryDim:]
	for h := range s.heads + s.kvHeads {
		turn(row[h*s.headSize:], table, table[1:], 2, s.rotaryDim, s.interleaved)
	}
	return nil
}

// head attends from one query to the last tokens that the window holds.
func (s *sequence) head(out, query []float32, head, position int, rows [][]float32) error {
	kv := head / (s.heads / s.kvHeads)
	from := max(0, position-int(s.in.window[s.layer])+1)
	scores := make([]float64, position+1-from)
	values := make([]float32, 0, len(scores)*s.headSize)
	for p := from; p <= position; p++ {
		key, value, err := s.past(p, kv, rows)
		if err != nil {
			return err
		}
		scores[p-from] = dot(query, 1, key, 1, s.headSize) * float64(s.scale)
		values = append(values, value...)
	}
	weighted(out, scores, values)
	return nil
}

// past gives key and value of a position. A context's own are taken from the step itself,
// unless the kernel reads them back from the cache (use_paged_context_fmha), which shows
// where that is quantised.
func (s *sequence) past(position, kv int, rows [][]float32) (key, value []float32, err error) {
	if s.context && !s.pagedContext && position >= s.first {
		row := rows[position-s.first]
		return row[(s.heads+kv)*s.headSize:][:s.headSize], row[(s.heads+s.kvHeads+kv)*s.headSize:][:s.headSize], nil
	}
	index := s.index
	if !s.context && s.beams > 1 && position < s.first {
		beam := int(s.in.indirection.Int[(s.request*s.beams+s.beam)*int(s.in.indirection.Shape[2])+position])
		if beam < 0 || beam >= s.beams {
			return nil, nil, fmt.Errorf("cache_indirection says beam %d of %d for position %d", beam, s.beams, position)
		}
		index += beam - s.beam
	}
	return s.cache.read(index, position, kv)
}

// blockCache is a layer's part of a paged cache.
type blockCache struct {
	gptFields
	in     *gptInputs
	memory *Memory
	typed  bool  // numbers are rounded to dtype
	base   int64 // of the layer's part of block 0
	pool   int64
}

func cacheOf(g gptFields, in *gptInputs, memory *Memory, typed bool) (*blockCache, error) {
	c := &blockCache{gptFields: g, in: in, memory: memory, typed: typed, pool: in.poolMapping[2*g.layer]}
	if c.pool < 0 || 2*c.pool+1 >= int64(len(in.poolPointers)) || c.pool >= in.offsets.Shape[0] {
		return nil, fmt.Errorf("layer %d is in pool %d of %d", g.layer, c.pool, len(in.poolPointers)/2)
	}
	c.base = in.poolPointers[2*c.pool] + in.poolMapping[2*g.layer+1]*2*c.blockBytes()
	return c, nil
}

func (c *blockCache) elementBytes() int64 {
	if c.fp8Cache {
		return 1
	}
	return c.dtype.Bytes(1)
}

// blockBytes is the size of a block of keys, or of values: [KV heads, tokens, head size].
func (c *blockCache) blockBytes() int64 {
	return int64(c.kvHeads*c.tokensPerBlock*c.headSize) * c.elementBytes()
}

// at gives the memory of one token's key (kind 0) or value (1) of one head.
func (c *blockCache) at(index, position, kind, head int) ([]float32, error) {
	blocks := int(c.in.offsets.Shape[3])
	block := position / c.tokensPerBlock
	if index < 0 || index >= int(c.in.offsets.Shape[1]) || block >= blocks {
		return nil, fmt.Errorf("position %d of sequence %d is outside the block table %v", position, index, c.in.offsets.Shape)
	}
	offset := c.in.offsets.Int[((int(c.pool)*int(c.in.offsets.Shape[1])+index)*2+kind)*blocks+block]
	address := c.base + offset*c.blockBytes() + int64((head*c.tokensPerBlock+position%c.tokensPerBlock)*c.headSize)*c.elementBytes()
	return c.memory.At(address, c.headSize, c.elementBytes())
}

func (c *blockCache) write(index, position int, keys, values []float32) error {
	for kind, rows := range [][]float32{keys, values} {
		for h := range c.kvHeads {
			to, err := c.at(index, position, kind, h)
			if err != nil {
				return err
			}
			copy(to, rows[h*c.headSize:])
			switch {
			case c.fp8Cache:
				copy(to, Floats(graph.Float, to, int64(len(to))).quantised(c.in.toQuantised).Float)
			case c.typed:
				copy(to, Floats(c.dtype, to, int64(len(to))).rounded().Float)
			}
		}
	}
	return nil
}

func (c *blockCache) read(index, position, head int) (key, value []float32, err error) {
	rows := [2][]float32{}
	for kind := range rows {
		from, err := c.at(index, position, kind, head)
		if err != nil {
			return nil, nil, err
		}
		rows[kind] = from
		if c.fp8Cache {
			rows[kind] = make([]float32, len(from))
			for i, v := range from {
				rows[kind][i] = v * c.in.fromQuantised
			}
		}
	}
	return rows[0], rows[1], nil
}
