package trtllm

import (
	"fmt"

	"github.com/trtgo/trtgo/internal/executor"
)

// Stats is a snapshot of an engine. Counters count from Open and never fall.
type Stats struct {
	ActiveRequests int // requests that run
	QueuedRequests int // requests that wait

	Iterations        uint64 // steps done
	ContextTokens     uint64 // prompt tokens computed, and what paused requests computed again
	GeneratedTokens   uint64
	FinishedRequests  uint64 // all that ended, with the three below
	CancelledRequests uint64
	TimedOutRequests  uint64
	FailedRequests    uint64
	PausedRequests    uint64 // how often a request was paused; see MaxUtilization

	KVBlocksUsed   int // held by running requests or promised to them
	KVBlocksCached int // held by none, with content that a request may take over
	KVBlocksTotal  int
	TokensPerBlock int
	ReusedTokens   uint64 // prompt tokens that were in the KV cache
	KVCache        KVCacheStats

	Memory Memory
}

// Memory is what an engine was opened with, in bytes.
type Memory struct {
	Available   int64 // what the process could still take when the engine was opened; 0 is unknown
	Weights     int64 // the engine's file
	KVCache     int64 // reserved, used as it fills
	Activations int64 // reserved, used as larger steps come
}

// IterationStats describes one iteration: who entered, one step, who left. Names and
// JSON are TensorRT-LLM's.
type IterationStats struct {
	Timestamp                       string  `json:"timestamp"` // local time at the iteration's end, MM-DD-YYYY hh:mm:ss.µs
	Iter                            uint64  `json:"iter"`      // the iteration's number
	IterLatencyMS                   float64 `json:"iterLatencyMS"`
	NewActiveRequestsQueueLatencyMS float64 `json:"newActiveRequestsQueueLatencyMS"` // time that NumNewActiveRequests waited, summed
	NumNewActiveRequests            int     `json:"numNewActiveRequests"`            // requests that began in this iteration
	NumActiveRequests               int     `json:"numActiveRequests"`
	NumQueuedRequests               int     `json:"numQueuedRequests"`
	NumCompletedRequests            int     `json:"numCompletedRequests"` // requests that ended in this iteration
	MaxNumActiveRequests            int     `json:"maxNumActiveRequests"`
	MaxBatchSizeStatic              int     `json:"maxBatchSizeStatic"` // max_batch_size; nothing here tunes it
	MaxBatchSizeTunerRecommended    int     `json:"maxBatchSizeTunerRecommended"`
	MaxBatchSizeRuntime             int     `json:"maxBatchSizeRuntime"`
	MaxNumTokensStatic              int     `json:"maxNumTokensStatic"` // max_num_tokens; nothing here tunes it
	MaxNumTokensTunerRecommended    int     `json:"maxNumTokensTunerRecommended"`
	MaxNumTokensRuntime             int     `json:"maxNumTokensRuntime"`
	GPUMemUsage                     int64   `json:"gpuMemUsage"` // bytes
	CPUMemUsage                     int64   `json:"cpuMemUsage"` // bytes
	PinnedMemUsage                  int64   `json:"pinnedMemUsage"`

	KVCacheStats          *KVCacheStats          `json:"kvCacheStats,omitempty"`
	InflightBatchingStats *InflightBatchingStats `json:"inflightBatchingStats,omitempty"`
}

// KVCacheStats describes the KV cache. The counters are of blocks that requests
// needed since the engine was opened.
type KVCacheStats struct {
	MaxNumBlocks     int     `json:"maxNumBlocks"`
	FreeNumBlocks    int     `json:"freeNumBlocks"` // held by no request, with content or without
	UsedNumBlocks    int     `json:"usedNumBlocks"`
	TokensPerBlock   int     `json:"tokensPerBlock"`
	AllocTotalBlocks uint64  `json:"allocTotalBlocks"` // given to requests, reused ones included
	AllocNewBlocks   uint64  `json:"allocNewBlocks"`   // of these, taken from the free ones to be filled
	ReusedBlocks     uint64  `json:"reusedBlocks"`     // full prompt blocks that were there
	MissedBlocks     uint64  `json:"missedBlocks"`     // full prompt blocks that were not
	CacheHitRate     float64 `json:"cacheHitRate"`     // ReusedBlocks / (ReusedBlocks + MissedBlocks)
}

// InflightBatchingStats describes the step of an iteration.
type InflightBatchingStats struct {
	NumScheduledRequests       int     `json:"numScheduledRequests"` // in the step
	NumContextRequests         int     `json:"numContextRequests"`   // of these, whose prompt is being computed
	NumGenRequests             int     `json:"numGenRequests"`       // of these, that generate
	NumPausedRequests          int     `json:"numPausedRequests"`    // paused in this iteration
	NumCtxTokens               int     `json:"numCtxTokens"`         // prompt tokens in the step, and what paused requests compute again
	MicroBatchID               int     `json:"microBatchId"`
	AvgNumDecodedTokensPerIter float64 `json:"avgNumDecodedTokensPerIter"`
}

// RequestStage is where a request stands. The numbers are TensorRT-LLM's, and so are
// the names that it has in JSON.
type RequestStage int

// Stages of a request, in order.
const (
	StageQueued     RequestStage = 0
	StageContext    RequestStage = 2 // its prompt is being computed
	StageGeneration RequestStage = 3
	StageComplete   RequestStage = 4
)

var stageNames = map[RequestStage]string{
	StageQueued: "QUEUED", StageContext: "CONTEXT_IN_PROGRESS", StageGeneration: "GENERATION_IN_PROGRESS", StageComplete: "GENERATION_COMPLETE",
}

// String gives TensorRT-LLM's name: "QUEUED", "CONTEXT_IN_PROGRESS",
// "GENERATION_IN_PROGRESS" or "GENERATION_COMPLETE".
func (s RequestStage) String() string {
	if name := stageNames[s]; name != "" {
		return name
	}
	return fmt.Sprintf("STAGE_%d", int(s))
}

// MarshalText gives String's name.
func (s RequestStage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes what MarshalText gives.
func (s *RequestStage) UnmarshalText(text []byte) error {
	for stage, name := range stageNames {
		if name == string(text) {
			*s = stage
			return nil
		}
	}
	return fmt.Errorf("request stage %q is none of QUEUED, CONTEXT_IN_PROGRESS, GENERATION_IN_PROGRESS and GENERATION_COMPLETE", text)
}

// RequestStats describes a request in one iteration, with TensorRT-LLM's names.
type RequestStats struct {
	ID                         uint64       `json:"id"` // Response.RequestID
	Stage                      RequestStage `json:"stage"`
	ContextPrefillPosition     int          `json:"contextPrefillPosition"` // prompt tokens computed or reused
	NumGeneratedTokens         int          `json:"numGeneratedTokens"`
	AvgNumDecodedTokensPerIter float64      `json:"avgNumDecodedTokensPerIter"`
	Scheduled                  bool         `json:"scheduled"` // was in the step
	Paused                     bool         `json:"paused"`
	AllocTotalBlocks           int          `json:"allocTotalBlocksPerRequest"`
	AllocNewBlocks             int          `json:"allocNewBlocksPerRequest"`
	ReusedBlocks               int          `json:"reusedBlocksPerRequest"`
	MissedBlocks               int          `json:"missedBlocksPerRequest"`
	KVCacheHitRate             float64      `json:"kvCacheHitRatePerRequest"`
}

// RequestStatsPerIteration are the live requests of one iteration.
type RequestStatsPerIteration struct {
	Iter         uint64         `json:"iter"`
	RequestStats []RequestStats `json:"requestStats"`
}

// Stats returns a snapshot. It is allowed at any time, also after Close.
func (e *Engine) Stats() Stats {
	s := e.executor.Stats()
	return Stats{
		ActiveRequests: s.ActiveRequests, QueuedRequests: s.QueuedRequests,
		Iterations: s.Iterations, ContextTokens: s.ContextTokens, GeneratedTokens: s.GeneratedTokens,
		FinishedRequests: s.FinishedRequests, CancelledRequests: s.CancelledRequests, TimedOutRequests: s.TimedOutRequests,
		FailedRequests: s.FailedRequests, PausedRequests: s.PausedRequests,
		KVBlocksUsed: s.KVBlocksUsed, KVBlocksCached: s.KVBlocksCached, KVBlocksTotal: s.KVBlocksTotal, TokensPerBlock: s.TokensPerBlock,
		ReusedTokens: s.ReusedTokens, KVCache: KVCacheStats(s.KVCache), Memory: Memory(s.Memory),
	}
}

// IterationStats returns the iterations since the call before, oldest first: as many
// as [WithIterationStats] keeps, the latest ones. Iterations without work are not
// recorded. Each iteration is returned once, so there should be one caller.
func (e *Engine) IterationStats() []IterationStats {
	var all []IterationStats
	for _, s := range e.executor.IterationStats() {
		all = append(all, iterationStats(s))
	}
	return all
}

// RequestStats returns the requests of each iteration since the call before, oldest
// first: of as many iterations as [WithRequestStats] keeps, by default none. Each is
// returned once, so there should be one caller.
func (e *Engine) RequestStats() []RequestStatsPerIteration {
	var all []RequestStatsPerIteration
	for _, s := range e.executor.RequestStats() {
		own := RequestStatsPerIteration{Iter: s.Iter, RequestStats: make([]RequestStats, len(s.RequestStats))}
		for i, r := range s.RequestStats {
			own.RequestStats[i] = requestStats(r)
		}
		all = append(all, own)
	}
	return all
}

func iterationStats(s executor.IterationStats) IterationStats {
	return IterationStats{
		Timestamp: s.Timestamp, Iter: s.Iter, IterLatencyMS: s.IterLatencyMS,
		NewActiveRequestsQueueLatencyMS: s.NewActiveRequestsQueueLatencyMS, NumNewActiveRequests: s.NumNewActiveRequests,
		NumActiveRequests: s.NumActiveRequests, NumQueuedRequests: s.NumQueuedRequests,
		NumCompletedRequests: s.NumCompletedRequests, MaxNumActiveRequests: s.MaxNumActiveRequests,
		MaxBatchSizeStatic: s.MaxBatchSizeStatic, MaxBatchSizeTunerRecommended: s.MaxBatchSizeTunerRecommended,
		MaxBatchSizeRuntime: s.MaxBatchSizeRuntime, MaxNumTokensStatic: s.MaxNumTokensStatic,
		MaxNumTokensTunerRecommended: s.MaxNumTokensTunerRecommended, MaxNumTokensRuntime: s.MaxNumTokensRuntime,
		GPUMemUsage: s.GPUMemUsage, CPUMemUsage: s.CPUMemUsage, PinnedMemUsage: s.PinnedMemUsage,
		KVCacheStats: (*KVCacheStats)(s.KVCacheStats), InflightBatchingStats: (*InflightBatchingStats)(s.InflightBatchingStats),
	}
}

func requestStats(s executor.RequestStats) RequestStats {
	return RequestStats{
		ID: s.ID, Stage: RequestStage(s.Stage), ContextPrefillPosition: s.ContextPrefillPosition,
		NumGeneratedTokens: s.NumGeneratedTokens, AvgNumDecodedTokensPerIter: s.AvgNumDecodedTokensPerIter,
		Scheduled: s.Scheduled, Paused: s.Paused, AllocTotalBlocks: s.AllocTotalBlocks, AllocNewBlocks: s.AllocNewBlocks,
		ReusedBlocks: s.ReusedBlocks, MissedBlocks: s.MissedBlocks, KVCacheHitRate: s.KVCacheHitRate,
	}
}
