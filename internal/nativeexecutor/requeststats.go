package nativeexecutor

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// upstreamRequests are the requests of an iteration as upstream writes them: ids are its
// own, stages names.
type upstreamRequests struct {
	Iter         uint64            `json:"iter"`
	RequestStats []upstreamRequest `json:"requestStats"`
}

type upstreamRequest struct {
	executor.RequestStats
	Stage stage `json:"stage"`
}

// stage is a RequestStage that is read by upstream's name.
type stage executor.RequestStage

var stages = map[string]stage{
	"QUEUED":                 stage(executor.StageQueued),
	"ENCODER_IN_PROGRESS":    stage(executor.StageQueued), // not of any model here
	"CONTEXT_IN_PROGRESS":    stage(executor.StageContext),
	"GENERATION_IN_PROGRESS": stage(executor.StageGeneration),
	"GENERATION_COMPLETE":    stage(executor.StageComplete),
}

// UnmarshalJSON implements [json.Unmarshaler]. A name that is not known is read as queued,
// a number as itself.
func (s *stage) UnmarshalJSON(text []byte) error {
	if !bytes.HasPrefix(text, []byte(`"`)) {
		return json.Unmarshal(text, (*int)(s))
	}
	var name string
	if err := json.Unmarshal(text, &name); err != nil {
		return err
	}
	*s = stages[name]
	return nil
}

// recorded is a request that the statistics of requests may tell of.
type recorded struct {
	clientID  uint64
	sequences int
	ended     int // of these
	past      executor.RequestStats
}

// know notes under which id upstream tells of a sequence.
func (r *records) know(id uint64, s *sequence) {
	if r.requests.Most <= 0 || r.known[id] != nil {
		return
	}
	if s.recorded == nil {
		s.recorded = &recorded{clientID: s.ClientID, sequences: len(s.sequences)}
	}
	r.known[id] = s.recorded
}

// outlived notes that upstream's last output of a request came: statistics may tell of it
// once more.
func (r *records) outlived(id uint64) {
	if _, ok := r.known[id]; ok {
		r.last = append(r.last, id)
	}
}

// forget forgets the requests that had ended before the look before this one.
func (r *records) forget() {
	for _, id := range r.over {
		delete(r.known, id)
	}
	r.over, r.last = r.last, r.over[:0]
}

// addRequests keeps the requests of an iteration, the sequences of each added up. One in
// which nothing ran, as upstream records it when all have ended, goes into the one before.
func (r *records) addRequests(u *upstreamRequests) {
	stats := executor.RequestStatsPerIteration{Iter: u.Iter}
	worked := false
	at := map[*recorded]int{}
	for i := range u.RequestStats {
		s := &u.RequestStats[i]
		known := r.known[s.ID]
		if known == nil { // the self-check, or one that nothing is known of any more
			continue
		}
		s.RequestStats.Stage = executor.RequestStage(s.Stage)
		worked = worked || s.Scheduled
		j, ok := at[known]
		if !ok {
			j = len(stats.RequestStats)
			at[known] = j
			first := known.past
			first.ID, first.Stage = known.clientID, executor.StageComplete
			stats.RequestStats = append(stats.RequestStats, first)
		}
		sum := &stats.RequestStats[j]
		sum.Stage = earlier(sum.Stage, s.RequestStats.Stage)
		addUp(sum, &s.RequestStats)
		if s.RequestStats.Stage == executor.StageComplete {
			known.ended++
			addUp(&known.past, &s.RequestStats)
		}
	}
	for known, j := range at {
		if s := &stats.RequestStats[j]; s.Stage == executor.StageComplete && known.ended < known.sequences {
			s.Stage = executor.StageGeneration
		}
	}
	before := r.requests.Newest()
	if worked || before == nil {
		r.requests.Add(stats)
		return
	}
	for _, s := range stats.RequestStats {
		i := slices.IndexFunc(before.RequestStats, func(b executor.RequestStats) bool { return b.ID == s.ID })
		if i < 0 {
			before.RequestStats = append(before.RequestStats, s)
			continue
		}
		s.Scheduled = before.RequestStats[i].Scheduled
		before.RequestStats[i] = s
	}
}

// earlier is what a request with sequences in two stages is in: it generates where some
// have ended, and is in its context where one is.
func earlier(a, b executor.RequestStage) executor.RequestStage {
	switch {
	case a == executor.StageContext || b == executor.StageContext:
		return executor.StageContext
	case a == executor.StageQueued && b == executor.StageComplete, a == executor.StageComplete && b == executor.StageQueued:
		return min(a, b)
	case a == executor.StageGeneration || b == executor.StageGeneration:
		return executor.StageGeneration
	}
	return min(a, b)
}

// addUp adds a sequence to its request.
func addUp(sum, s *executor.RequestStats) {
	sum.ContextPrefillPosition = max(sum.ContextPrefillPosition, s.ContextPrefillPosition)
	sum.NumGeneratedTokens += s.NumGeneratedTokens
	sum.AvgNumDecodedTokensPerIter = max(sum.AvgNumDecodedTokensPerIter, s.AvgNumDecodedTokensPerIter)
	sum.Scheduled = sum.Scheduled || s.Scheduled
	sum.Paused = sum.Paused || s.Paused
	sum.AllocTotalBlocks += s.AllocTotalBlocks
	sum.AllocNewBlocks += s.AllocNewBlocks
	sum.ReusedBlocks += s.ReusedBlocks
	sum.MissedBlocks += s.MissedBlocks
	sum.KVCacheHitRate = 0
	if looked := sum.ReusedBlocks + sum.MissedBlocks; looked > 0 {
		sum.KVCacheHitRate = float64(sum.ReusedBlocks) / float64(looked)
	}
}
