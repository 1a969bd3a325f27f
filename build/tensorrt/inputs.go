package tensorrt

import (
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// inputRow is an input that TensorRT-LLM's runtime binds. It binds by name, and insists on
// type and rank when an engine is first run.
type inputRow struct {
	name  string
	dtype graph.DataType // "" is the activations'
	shape func(p *packed) graph.Shape
	host  bool
	when  func(p *packed) bool // nil is always
}

// Names of the dimensions that a step's batch says, as upstream calls them. Dimensions of
// one name are equal, so positions, which upstream allows to be fewer, have their own.
const (
	numTokens         = "num_tokens"
	numPositions      = "position_ids_num_tokens_range"
	numSequences      = "batch_size_beam_width" // sequences, beams counted
	numSelected       = "batch_size_last_token_ids"
	numBlocks         = "max_blocks_per_seq"
	numRequests       = "batch_size_cache"
	beamWidth         = "beam_width"
	maxSequenceLength = "max_seq_len"
	numPools          = "num_kv_cache_pools" // one for each attention window that layers have
	numPoolPointers   = "num_pools_layers"   // as many, under a name of its own
)

// perfKnobs is how many numbers host_runtime_perf_knobs has.
const perfKnobs = 16

// inputTable has the inputs in the order in which they are added.
var inputTable = []inputRow{
	{"input_ids", graph.Int32, dims(graph.Dynamic(numTokens)), false, firstStage},
	{"position_ids", graph.Int32, dims(graph.Dynamic(numPositions)), false, firstStage},
	{"hidden_states_input", "", func(p *packed) graph.Shape {
		return graph.Shape{graph.Dynamic(numTokens), graph.Fixed(int64(p.net.HiddenSize))}
	}, false, func(p *packed) bool { return !firstStage(p) }},
	{"last_token_ids", graph.Int32, dims(graph.Dynamic(numSelected)), false, func(p *packed) bool {
		return p.net.Mapping.Last() && !p.o.GatherContextLogits
	}},

	{"kv_cache_block_offsets", graph.Int32, blockOffsets, false, nil},
	{"host_kv_cache_block_offsets", graph.Int32, blockOffsets, true, nil},
	{"host_kv_cache_pool_pointers", graph.Int64, dims(graph.Dynamic(numPoolPointers), graph.Fixed(2)), true, nil},
	{"host_kv_cache_pool_mapping", graph.Int32, func(p *packed) graph.Shape {
		return graph.Shape{graph.Fixed(int64(p.net.NumLayers)), graph.Fixed(2)} // pool, and layer in it
	}, true, nil},
	{"sequence_length", graph.Int32, dims(graph.Dynamic(numSequences)), false, nil},
	{"host_request_types", graph.Int32, dims(graph.Dynamic(numSequences)), true, nil}, // 0 context, 1 generation
	{"host_past_key_value_lengths", graph.Int32, dims(graph.Dynamic(numSequences)), true, nil},
	{"context_lengths", graph.Int32, dims(graph.Dynamic(numSequences)), false, nil},
	{"host_runtime_perf_knobs", graph.Int64, dims(graph.Fixed(perfKnobs)), true, nil},
	{"host_context_progress", graph.Int64, dims(graph.Fixed(1)), true, nil},
	{"host_context_lengths", graph.Int32, dims(graph.Dynamic(numSequences)), true, nil},
	{"host_max_attention_window_sizes", graph.Int32, func(p *packed) graph.Shape {
		return graph.Shape{graph.Fixed(int64(p.net.NumLayers))}
	}, true, nil},
	{"host_sink_token_length", graph.Int32, dims(graph.Fixed(1)), true, nil},
	{"cache_indirection", graph.Int32, dims(graph.Dynamic(numRequests), graph.Dynamic(beamWidth), graph.Dynamic(maxSequenceLength)), false, nil},
}

func dims(d ...graph.Dim) func(*packed) graph.Shape { return func(*packed) graph.Shape { return d } }

func firstStage(p *packed) bool { return p.net.Mapping.First() }

// blockOffsets are [pools, sequences, keys and values, blocks].
func blockOffsets(*packed) graph.Shape {
	return graph.Shape{graph.Dynamic(numPools), graph.Dynamic(numSequences), graph.Fixed(2), graph.Dynamic(numBlocks)}
}

// declare adds the inputs that this rank and these options have, and the profiles.
func (p *packed) declare() {
	for _, row := range inputTable {
		if row.when != nil && !row.when(p) {
			continue
		}
		dtype := row.dtype
		if dtype == "" {
			dtype = p.dtype
		}
		add := p.b.Input
		if row.host {
			add = p.b.HostInput
		}
		p.inputs[row.name] = add(row.name, dtype, row.shape(p)...)
	}
	p.b.Profiles(profiles(p.o, p.net.NumLayers)...)
}
