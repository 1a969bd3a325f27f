package inflight

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
)

// toySearch is the plain search for a request on the toy. The logits are edited by
// TensorRT-LLM's formulas, in its order: bias, temperature, penalties, bans.
func toySearch(r executor.Request) plainSearch {
	p := plainSearch{request: r, early: 1}
	if r.Sampling.EarlyStopping != nil {
		p.early = *r.Sampling.EarlyStopping
	}
	p.logits = func(output []int32) []float32 {
		row := toyRow(&r, output)
		if r.ProcessorData != nil {
			row = halved(row)
		}
		return plainEdits(&r, row, output)
	}
	return p
}

func toyRow(r *executor.Request, output []int32) []float32 {
	return executortest.ToyLogits(executortest.Hidden(slices.Concat(r.InputIDs, output)), executortest.ToyLimits().VocabSize)
}

// halved is what the tests' logits processor makes of a row.
func halved(row []float32) []float32 {
	row = slices.Clone(row)
	for i := range row {
		if row[i] *= 0.5; i%7 == 3 {
			row[i] = float32(math.Inf(-1))
		}
	}
	return row
}

func plainEdits(r *executor.Request, row []float32, output []int32) []float32 {
	s := &r.Sampling
	all := slices.Concat(r.InputIDs, output)
	counts := map[int32]float32{}
	for _, id := range all {
		counts[id]++
	}
	row = slices.Clone(row)
	for i := range row {
		id := int32(i)
		row[i] += s.Bias[id]
		if s.Temperature != 0 {
			row[i] /= s.Temperature
		}
		if counts[id] > 0 {
			if s.RepetitionPenalty > 0 && row[i] > 0 {
				row[i] /= s.RepetitionPenalty
			} else if s.RepetitionPenalty > 0 {
				row[i] *= s.RepetitionPenalty
			}
			row[i] -= s.PresencePenalty + s.FrequencyPenalty*counts[id]
		}
		if plainBan(r, all, len(output), id) {
			row[i] = float32(math.Inf(-1))
		}
	}
	return row
}

func plainBan(r *executor.Request, all []int32, generated int, id int32) bool {
	next := append(slices.Clone(all), id)
	for _, bad := range r.BadSequences {
		if len(next) >= len(bad) && slices.Equal(next[len(next)-len(bad):], bad) {
			return true
		}
	}
	if n := r.Sampling.NoRepeatNgramSize; n > 0 && len(next) > n {
		for i := 0; i+n < len(next); i++ {
			if slices.Equal(next[i:i+n], next[len(next)-n:]) {
				return true
			}
		}
	}
	return generated < r.Sampling.MinTokens && slices.Contains(r.EndIDs, id)
}

// beamRequest makes a request for beams of any kind.
func beamRequest(random *rand.Rand) executor.Request {
	pick := func(list ...float32) float32 { return list[random.IntN(len(list))] }
	ids := func(n int) []int32 {
		list := make([]int32, n)
		for i := range list {
			list[i] = random.Int32N(97)
		}
		return list
	}
	rarely := func() bool { return random.IntN(5) == 0 }
	prompt := make([]int32, random.IntN(4)*8) // common beginnings
	r := executor.Request{
		InputIDs: append(prompt, ids(1+random.IntN(12))...), MaxTokens: 1 + random.IntN(20),
		EndIDs: ids(random.IntN(9)), LogProbs: rarely(), GenerationLogits: rarely(), Streaming: rarely(), ContextLogits: rarely(),
		Priority: pick(0, 0.5), Sampling: executor.Sampling{
			BeamWidth: 2 + random.IntN(4), LengthPenalty: pick(0, 0, 1, 2, -1, 0.7), BeamSearchDiversityRate: pick(0, 0, 0.4), Temperature: pick(0, 1, 0.6, 3),
		},
	}
	s := &r.Sampling
	early := random.IntN(4)
	s.EarlyStopping = &early
	s.NumReturnSequences = random.IntN(s.BeamWidth + 1)
	for range random.IntN(3) {
		r.StopSequences = append(r.StopSequences, ids(1+random.IntN(2)))
	}
	if rarely() {
		r.BadSequences = [][]int32{ids(1), ids(2)}
		s.MinTokens = random.IntN(8)
	}
	if rarely() {
		s.RepetitionPenalty, s.PresencePenalty, s.FrequencyPenalty = 1.3, 0.4, 0.2
	}
	if rarely() {
		s.NoRepeatNgramSize = 1 + random.IntN(2)
	}
	if rarely() {
		r.TopLogProbs = 1 + random.IntN(4)
	}
	if rarely() {
		r.PromptLogProbs, r.PromptTopLogProbs = true, 1
	}
	if rarely() {
		r.ProcessorData = 1
	}
	if rarely() { // few tokens are possible
		s.Bias = map[int32]float32{}
		for id := range int32(97) {
			if id%24 > 0 {
				s.Bias[id] = float32(math.Inf(-1))
			}
		}
		s.NoRepeatNgramSize = 0
	}
	return r
}

// answers runs requests together and returns the responses of each, which must come
// in order of their sequences, all at the end.
func answers(t *testing.T, e *Executor, requests []executor.Request) [][]executor.Response {
	t.Helper()
	got := make([][]executor.Response, len(requests))
	for i, r := range requests {
		r.ClientID = uint64(i)
		require.NoError(t, e.Submit(r), "%+v", r)
	}
	for final := 0; final < len(requests); {
		responses, err := e.Await(t.Context())
		require.NoError(t, err)
		for _, r := range responses {
			if got[r.ClientID] = append(got[r.ClientID], r); r.Final {
				final++
			}
		}
	}
	return got
}

func openBeams(t *testing.T, change func(*executor.Limits), o Options) (*Executor, *executortest.Gate) {
	t.Helper()
	limits := executortest.ToyLimits()
	change(&limits)
	gate := executortest.NewGate(executortest.NewToy(limits))
	o.LogitsProcessor = func(rows []executor.ProcessorRow) error {
		for _, row := range rows {
			copy(row.Logits, halved(row.Logits))
		}
		return nil
	}
	e, err := New(gate, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		gate.Release()
		require.NoError(t, e.Close())
	})
	return e, gate
}

// Whatever else runs and however it is scheduled, beams are those of the plain search.
func TestBeamsOnTheToy(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 1))
	var requests []executor.Request
	var want [][]found
	for range 48 {
		r := beamRequest(random)
		p := toySearch(r)
		requests, want = append(requests, r), append(want, p.run())
	}
	for i := range 12 { // ordinary ones among them
		r := executor.Request{InputIDs: make([]int32, 1+random.IntN(40)), MaxTokens: 1 + random.IntN(20), Sampling: executor.Sampling{TopK: 1}}
		ids := executortest.Greedy(r.InputIDs, r.MaxTokens, 97)
		requests, want = slices.Insert(requests, i*4, r), slices.Insert(want, i*4, []found{{tokens: ids, reason: executor.FinishLength}})
	}
	for name, c := range map[string]struct {
		limits  func(*executor.Limits)
		options Options
	}{
		"as it is":            {},
		"one at a time":       {limits: func(l *executor.Limits) { l.MaxBatchSize = 5 }},
		"short steps":         {limits: func(l *executor.Limits) { l.MaxNumTokens = 5 }},
		"chunks of one":       {options: Options{ChunkTokens: 1}},
		"chunks of seven":     {options: Options{ChunkTokens: 7}},
		"computed anew":       {options: Options{NoBlockReuse: true}},
		"blocks of one token": {limits: func(l *executor.Limits) { l.BlockSize, l.NumBlocks = 1, 300 }},
		"few candidates":      {limits: func(l *executor.Limits) { l.MaxCandidates = 4 }},
		"small KV cache":      {limits: func(l *executor.Limits) { l.NumBlocks = 23 }},
	} {
		t.Run(name, func(t *testing.T) {
			if c.limits == nil {
				c.limits = func(*executor.Limits) {}
			}
			e, _ := openBeams(t, c.limits, c.options)
			for range 2 { // the second time, over what the first left in the KV cache
				for i, responses := range answers(t, e, requests) {
					requireBeams(t, &requests[i], want[i], responses)
				}
				require.Zero(t, e.Stats().KVBlocksUsed)
			}
		})
	}
}

// Beams that give their blocks away and are computed again are the same.
func TestPausedBeams(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 1))
	var requests []executor.Request
	var want [][]found
	for range 10 {
		r := beamRequest(random)
		r.MaxTokens, r.EndIDs, r.StopSequences = 30+random.IntN(10), nil, nil
		p := toySearch(r)
		requests, want = append(requests, r), append(want, p.run())
	}
	for _, again := range []bool{false, true} {
		e, _ := openBeams(t, func(l *executor.Limits) { l.BlockSize, l.NumBlocks, l.MaxBatchSize = 4, 64, 40 }, Options{Policy: executor.MaxUtilization, NoBlockReuse: again})
		paused := 0
		for i, responses := range answers(t, e, requests) {
			requireBeams(t, &requests[i], want[i], responses)
			paused += responses[0].KVCache.Paused
		}
		require.Positive(t, paused)
		require.Zero(t, e.Stats().KVBlocksUsed)
	}
}

// requireBeams compares responses with the plain search, and what they tell of each
// token with the toy.
func requireBeams(t *testing.T, r *executor.Request, want []found, got []executor.Response) {
	t.Helper()
	about := fmt.Sprintf("%+v", *r)
	n := 1
	if r.Sampling.BeamWidth > 1 {
		n = returnedBeams(&r.Sampling)
	}
	require.Len(t, got, n, about)
	for i, g := range got {
		require.NoError(t, g.Err)
		require.Equal(t, i, g.Sequence)
		require.Equal(t, i == n-1, g.Final)
		require.True(t, g.SequenceFinal)
		if i >= len(want) { // there are no more
			require.Empty(t, g.OutputIDs)
			require.EqualValues(t, -math.MaxFloat32, g.CumLogProb)
			continue
		}
		require.Equal(t, append([]int32{}, want[i].output()...), append([]int32{}, g.OutputIDs...), "beam %d of %s", i, about)
		require.Equal(t, want[i].reason, g.FinishReason, about)
		if r.Sampling.BeamWidth > 1 {
			require.InDelta(t, want[i].cum, g.CumLogProb, 1e-4, about)
			requireTokens(t, r, &g)
		}
		for _, p := range []struct {
			asked bool
			n     int
		}{{r.ContextLogits, len(g.ContextLogits)}, {r.PromptLogProbs, len(g.PromptLogProbs)}, {r.PromptTopLogProbs > 0, len(g.PromptTopLogProbs)}} {
			if p.asked && i == 0 {
				require.Equal(t, len(r.InputIDs), p.n)
			} else {
				require.Zero(t, p.n)
			}
		}
	}
}

func requireTokens(t *testing.T, r *executor.Request, g *executor.Response) {
	t.Helper()
	count := func(wanted bool, n int) {
		if !wanted {
			require.Zero(t, n)
		} else {
			require.Equal(t, len(g.OutputIDs), n)
		}
	}
	count(r.LogProbs, len(g.LogProbs))
	count(r.TopLogProbs > 0, len(g.TopLogProbs))
	count(r.GenerationLogits, len(g.Logits))
	for i, id := range g.OutputIDs {
		row := toyRow(r, g.OutputIDs[:i])
		sum := plainLogSumExp(row)
		if r.LogProbs {
			require.InDelta(t, row[id]-sum, g.LogProbs[i], 1e-5)
		}
		if r.GenerationLogits {
			require.Equal(t, row, g.Logits[i])
		}
		if r.TopLogProbs > 0 {
			var best []executor.LogProb
			for id, l := range row {
				best = append(best, executor.LogProb{Token: int32(id), LogProb: l - sum})
			}
			slices.SortStableFunc(best, func(a, b executor.LogProb) int { return cmp.Compare(b.LogProb, a.LogProb) })
			require.Len(t, g.TopLogProbs[i], r.TopLogProbs)
			for j, top := range g.TopLogProbs[i] {
				require.Equal(t, best[j].Token, top.Token)
				require.InDelta(t, best[j].LogProb, top.LogProb, 1e-5)
			}
		}
	}
}

// Responses share no memory: who gets one may change it.
func TestBeamsShareNothing(t *testing.T) {
	e, _ := openBeams(t, func(*executor.Limits) {}, Options{})
	r := executor.Request{InputIDs: []int32{5}, MaxTokens: 8, GenerationLogits: true, TopLogProbs: 2, Sampling: executor.Sampling{BeamWidth: 4}}
	got := answers(t, e, []executor.Request{r})[0]
	require.Equal(t, got[0].OutputIDs[0], got[1].OutputIDs[0], "they begin alike: choose another prompt")
	require.NotSame(t, &got[0].Logits[0][0], &got[1].Logits[0][0])
	require.NotSame(t, &got[0].TopLogProbs[0][0], &got[1].TopLogProbs[0][0])
}

// A search whose time is over gives what it has found by then.
func TestBeamsOutOfTime(t *testing.T) {
	for steps := 1; steps <= 5; steps++ {
		now := time.Now()
		e, gate := openBeams(t, func(*executor.Limits) {}, Options{Now: func() time.Time { return now }})
		late := 0
		r := executor.Request{
			InputIDs: []int32{5, 6, 7}, MaxTokens: 20, EndIDs: []int32{1, 2, 3, 4, 5, 6, 7, 8}, AllottedTime: time.Second,
			Sampling: executor.Sampling{BeamWidth: 3, EarlyStopping: &late},
		}
		p := toySearch(r)
		p.request.MaxTokens = steps
		want := p.run()
		done := 0
		gate.Before(func([]executor.Sequence) error {
			if done++; done == steps {
				now = now.Add(time.Hour) // on the executor's goroutine, as all that reads it by now
			}
			return nil
		})
		got := answers(t, e, []executor.Request{r})[0]
		require.Len(t, got, 3)
		for i, g := range got {
			require.Equal(t, executor.FinishTimeout, g.FinishReason, "after %d steps", steps)
			require.Equal(t, append([]int32{}, want[i].output()...), append([]int32{}, g.OutputIDs...))
			require.InDelta(t, want[i].cum, g.CumLogProb, 1e-4)
		}
		require.Zero(t, e.Stats().KVBlocksUsed)
	}
}

func TestBeamsThatFail(t *testing.T) {
	e, gate := openBeams(t, func(*executor.Limits) {}, Options{})
	beams := executor.Request{InputIDs: []int32{1, 2}, MaxTokens: 6, Sampling: executor.Sampling{BeamWidth: 3}}
	other := executor.Request{InputIDs: []int32{4}, MaxTokens: 9, Sampling: executor.Sampling{TopK: 1}}
	gate.After(func(out *executor.StepResult) {
		if len(out.Rows) == 4 { // of the last beam, after the first step
			out.Rows[3].RawLogSumExp = float32(math.NaN())
		}
	})
	got := answers(t, e, []executor.Request{other, beams})
	require.Equal(t, executortest.Greedy(other.InputIDs, 9, 97), got[0][0].OutputIDs)
	require.Len(t, got[1], 1, "one response")
	require.ErrorIs(t, got[1][0].Err, executor.ErrFailed)
	require.ErrorIs(t, got[1][0].Err, errNaN)
	require.Zero(t, e.Stats().KVBlocksUsed)
	gate.After(nil)

	beams.Sampling.Bias = map[int32]float32{}
	for id := range int32(97) {
		beams.Sampling.Bias[id] = float32(math.Inf(-1))
	}
	require.ErrorIs(t, answers(t, e, []executor.Request{beams})[0][0].Err, errBanned)

	beams.Sampling.Bias, beams.ProcessorData = nil, 1
	for id := range int32(97) {
		if id%7 != 3 { // the processor bans the others
			beams.BadSequences = append(beams.BadSequences, []int32{id})
		}
	}
	require.ErrorIs(t, answers(t, e, []executor.Request{beams})[0][0].Err, errBanned)
	require.Zero(t, e.Stats().KVBlocksUsed)
}

// Beams that no step or KV cache could hold are refused, with both numbers.
func TestRefusedBeams(t *testing.T) {
	for _, c := range []struct {
		change func(*executor.Limits)
		width  int
		want   error
		says   []string
	}{
		{func(l *executor.Limits) { l.MaxBatchSize = 3 }, 4, executor.ErrUnsupported, []string{"beam width is 4", "3", "max_batch_size"}},
		{func(l *executor.Limits) { l.MaxNumTokens = 3 }, 4, executor.ErrUnsupported, []string{"beam width is 4", "3", "max_num_tokens"}},
		{func(l *executor.Limits) { l.SharedBlocks = false }, 2, executor.ErrUnsupported, []string{"beam", "shared"}},
		{func(l *executor.Limits) { l.StateSlots = 8 }, 2, executor.ErrUnsupported, []string{"beam", "recurrent"}},
		{func(l *executor.Limits) { l.NumBlocks = 9 }, 4, executor.ErrTooLong, []string{"4 beams", "need 11 KV blocks", "has 9"}},
	} {
		e, _ := openBeams(t, c.change, Options{})
		r := executor.Request{InputIDs: make([]int32, 28), MaxTokens: 13, Sampling: executor.Sampling{BeamWidth: c.width}}
		err := e.Submit(r)
		require.ErrorIs(t, err, c.want)
		for _, part := range c.says {
			require.ErrorContains(t, err, part)
		}
	}
}
