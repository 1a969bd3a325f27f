package tensorrt

import (
	"maps"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// tokenSplits are where the runtime changes from one profile to the next.
var tokenSplits = []int64{64, 128, 256, 512, 1024}

// profiles are the ranges of the dimensions that the batch says: one profile, or one for
// each range of tokens a step. layers are those of the rank: the runtime makes a pool of
// the KV cache for each window that they have, mostly one.
func profiles(o Options, layers int) []map[string]graph.Range {
	sequences := o.MaxBatchSize * o.MaxBeamWidth
	pools := graph.Range{Min: 1, Opt: 1, Max: int64(layers)}
	ranges := map[string]graph.Range{
		numPools: pools, numPoolPointers: pools,
		numSequences: upTo(sequences), numSelected: upTo(sequences), numRequests: upTo(o.MaxBatchSize),
		beamWidth: upTo(o.MaxBeamWidth), maxSequenceLength: upTo(o.MaxSeqLen), numBlocks: kvBlocks(o),
	}
	var list []map[string]graph.Range
	for _, tokens := range tokenRanges(o) {
		profile := maps.Clone(ranges)
		profile[numTokens], profile[numPositions] = tokens, tokens
		list = append(list, profile)
	}
	return list
}

// upTo is upstream's range of a dimension of at most n.
func upTo(n int) graph.Range { return graph.Range{Min: 1, Opt: int64(n+1) / 2, Max: int64(n)} }

// kvBlocks is the range of KV blocks a sequence. Beams need a block more, and so does a
// window that streams.
func kvBlocks(o Options) graph.Range {
	tokens := o.MaxSeqLen
	if o.Plugins.StreamingLLM {
		tokens += o.Plugins.TokensPerBlock - 1
	}
	if o.MaxBeamWidth > 1 {
		tokens += o.Plugins.TokensPerBlock
	}
	r, size := upTo(tokens), int64(o.Plugins.TokensPerBlock)
	up := func(n int64) int64 { return (n + size - 1) / size }
	return graph.Range{Min: up(r.Min), Opt: up(r.Opt), Max: up(r.Max)}
}

// tokenRanges are the ranges of tokens a step, a profile each.
func tokenRanges(o Options) []graph.Range {
	most := int64(o.MaxNumTokens)
	if !o.Plugins.MultipleProfiles {
		best := int64(o.OptNumTokens)
		if best == 0 {
			best = min(most, int64(o.MaxBatchSize*o.MaxBeamWidth))
		}
		return []graph.Range{{Min: 1, Opt: best, Max: most}}
	}
	var list []graph.Range
	least := int64(1)
	for _, split := range tokenSplits {
		if most <= split {
			break
		}
		list = append(list, graph.Range{Min: least, Opt: split, Max: split})
		least = split
	}
	return append(list, graph.Range{Min: least, Opt: most, Max: most})
}
