package tensorrt

// Release is what varies by release of TensorRT-LLM: versions, and for each plugin the
// fields that its creator parses.
type Release struct {
	Version  string // of TensorRT-LLM, e.g. "1.2.1"
	TensorRT string // that its engines are built and run with, e.g. "10.14.1"

	gptAttention                     []pluginField[attention]
	gemm                             []pluginField[gemm]
	allReduce, allGather, send, recv []pluginField[collective]
}

// Releases are those that are known, newest first.
var Releases = []*Release{
	{
		Version: "1.2.1", TensorRT: "10.14.1",
		gptAttention: gptAttentionFields, gemm: gemmFields, allReduce: allReduceFields, allGather: allGatherFields, send: sendFields, recv: recvFields,
	},
	{
		Version: "1.1.0", TensorRT: "10.11.0",
		gptAttention: gptAttentionFields, gemm: gemmFields, allReduce: allReduceFields, allGather: allGatherFields, send: sendFields, recv: recvFields,
	},
}
