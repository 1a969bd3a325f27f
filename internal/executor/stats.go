package executor

import "time"

// Stats is a snapshot of an executor. The counters never fall.
type Stats struct {
	ActiveRequests int
	QueuedRequests int

	Iterations        uint64
	ContextTokens     uint64 // prompt tokens computed, and what paused requests computed again, and output tokens computed again after a pause
	GeneratedTokens   uint64
	FinishedRequests  uint64 // failed, cancelled and timed out ones included
	CancelledRequests uint64
	TimedOutRequests  uint64
	FailedRequests    uint64
	PausedRequests    uint64 // how often a request gave its blocks away to be computed again

	KVBlocksUsed   int // held by running requests or promised to them
	KVBlocksCached int // held by none, with content that a request may take over
	KVBlocksTotal  int
	TokensPerBlock int
	ReusedTokens   uint64 // of prompts, and of paused requests, that were in the KV cache
	KVCache        KVCacheStats

	Memory Memory
}

// Memory is what an engine was opened with, in bytes.
type Memory struct {
	Available   int64 // what the process could still take when the engine was opened; 0 is unknown
	Weights     int64
	KVCache     int64 // reserved, used as it fills
	Activations int64 // reserved, used as larger steps come
}

// IterationStats describes one iteration, with the names of TensorRT-LLM's
// struct; the tags are the names in its JSON.
type IterationStats struct {
	Timestamp                       string  `json:"timestamp"`
	Iter                            uint64  `json:"iter"`
	IterLatencyMS                   float64 `json:"iterLatencyMS"`
	NewActiveRequestsQueueLatencyMS float64 `json:"newActiveRequestsQueueLatencyMS"`
	NumNewActiveRequests            int     `json:"numNewActiveRequests"`
	NumActiveRequests               int     `json:"numActiveRequests"`
	NumQueuedRequests               int     `json:"numQueuedRequests"`
	NumCompletedRequests            int     `json:"numCompletedRequests"`
	MaxNumActiveRequests            int     `json:"maxNumActiveRequests"`
	MaxBatchSizeStatic              int     `json:"maxBatchSizeStatic"`
	MaxBatchSizeTunerRecommended    int     `json:"maxBatchSizeTunerRecommended"`
	MaxBatchSizeRuntime             int     `json:"maxBatchSizeRuntime"`
	MaxNumTokensStatic              int     `json:"maxNumTokensStatic"`
	MaxNumTokensTunerRecommended    int     `json:"maxNumTokensTunerRecommended"`
	MaxNumTokensRuntime             int     `json:"maxNumTokensRuntime"`
	GPUMemUsage                     int64   `json:"gpuMemUsage"`
	CPUMemUsage                     int64   `json:"cpuMemUsage"`
	PinnedMemUsage                  int64   `json:"pinnedMemUsage"`

	KVCacheStats          *KVCacheStats          `json:"kvCacheStats,omitempty"`
	InflightBatchingStats *InflightBatchingStats `json:"inflightBatchingStats,omitempty"`
}

// KVCacheStats describes the KV cache. The four counters are of blocks that
// requests needed since the executor was opened.
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
	NumScheduledRequests       int     `json:"numScheduledRequests"`
	NumContextRequests         int     `json:"numContextRequests"`
	NumGenRequests             int     `json:"numGenRequests"`
	NumPausedRequests          int     `json:"numPausedRequests"`
	NumCtxTokens               int     `json:"numCtxTokens"`
	MicroBatchID               int     `json:"microBatchId"`
	AvgNumDecodedTokensPerIter float64 `json:"avgNumDecodedTokensPerIter"`
}

// RequestStage is where a request stands. The numbers are TensorRT-LLM's.
type RequestStage int

const (
	StageQueued     RequestStage = 0
	StageContext    RequestStage = 2
	StageGeneration RequestStage = 3
	StageComplete   RequestStage = 4
)

// RequestStats describes a request in one iteration, with upstream's names.
type RequestStats struct {
	ID                         uint64       `json:"id"` // the client id
	Stage                      RequestStage `json:"stage"`
	ContextPrefillPosition     int          `json:"contextPrefillPosition"`
	NumGeneratedTokens         int          `json:"numGeneratedTokens"`
	AvgNumDecodedTokensPerIter float64      `json:"avgNumDecodedTokensPerIter"`
	Scheduled                  bool         `json:"scheduled"`
	Paused                     bool         `json:"paused"`
	AllocTotalBlocks           int          `json:"allocTotalBlocksPerRequest"`
	AllocNewBlocks             int          `json:"allocNewBlocksPerRequest"`
	ReusedBlocks               int          `json:"reusedBlocksPerRequest"`
	MissedBlocks               int          `json:"missedBlocksPerRequest"`
	KVCacheHitRate             float64      `json:"kvCacheHitRatePerRequest"`
}

// RequestStatsPerIteration are the requests of one iteration.
type RequestStatsPerIteration struct {
	Iter         uint64         `json:"iter"`
	RequestStats []RequestStats `json:"requestStats"`
}

// IterationTime formats t as an iteration's Timestamp.
func IterationTime(t time.Time) string { return t.Format("01-02-2006 15:04:05.000000") }
