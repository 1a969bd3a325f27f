package tensorrt

// Release is what varies by release of TensorRT-LLM: versions, and for each plugin the
// fields that its creator parses.
type Release struct {
	Version  string // of TensorRT-LLM, e.g. "1.2.1"
	TensorRT string // that its engines are built and run with, e.g. "10.14.1"
	// HeadSizes are those that its attention has kernels for; its plugin refuses others.
	HeadSizes []int
	// GroupSizes are those that its kernels for weights of 4 bits in groups are made for.
	GroupSizes []int

	gptAttention                     []pluginField[attention]
	gemm                             []pluginField[gemm]
	weightOnly                       []pluginField[weightOnly]
	groupwise                        []pluginField[groupwise]
	allReduce, allGather, send, recv []pluginField[collective]
	differences                      map[string]FieldDifferences
}

// headSizes are those of releases 1.1 and 1.2 (mmha_supported of its C++).
var headSizes = []int{32, 48, 64, 80, 96, 104, 112, 128, 144, 160, 192, 224, 256}

// groupSizes are those of the fine-grained fpA_intB kernels.
var groupSizes = []int{64, 128}

// Releases are those that are known, newest first. The plugins of both have the same fields.
var Releases = []*Release{
	{
		Version: "1.2.1", TensorRT: "10.14.1", HeadSizes: headSizes, GroupSizes: groupSizes,
		gptAttention: gptAttentionFields, gemm: gemmFields, weightOnly: weightOnlyFields, groupwise: groupwiseFields,
		allReduce: allReduceFields, allGather: allGatherFields, send: sendFields, recv: recvFields, differences: fieldDifferences,
	},
	{
		Version: "1.1.0", TensorRT: "10.13.3", HeadSizes: headSizes, GroupSizes: groupSizes,
		gptAttention: gptAttentionFields, gemm: gemmFields, weightOnly: weightOnlyFields, groupwise: groupwiseFields,
		allReduce: allReduceFields, allGather: allGatherFields, send: sendFields, recv: recvFields, differences: fieldDifferences,
	},
}

// FieldDifferences is what the getFieldNames() of a plugin's creator says otherwise than what
// the creator reads.
type FieldDifferences struct {
	Unsent   []string // listed, but not read, or read with a default
	Unlisted []string // read, but not listed
}

// fieldDifferences are those of releases 1.1 and 1.2, by creator.
var fieldDifferences = map[string]FieldDifferences{
	"GPTAttention": {Unsent: []string{"layer_idx_in_cache_pool"}},
	"Gemm": {
		Unsent:   []string{"transA", "transB", "padLda", "padLdb", "padLdc"},
		Unlisted: []string{"transa", "transb", "pad_lda", "pad_ldb", "pad_ldc", "alpha"},
	},
	"AllReduce": {Unsent: []string{"config", "counter"}},
}

// FieldDifferences returns the known differences of a plugin's creator.
func (r *Release) FieldDifferences(creator string) FieldDifferences { return r.differences[creator] }
