package nativeexecutor

import (
	"cmp"
	"math"
	"time"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

// Temperatures below these are greedy: what is closer than their hundredfold is drawn as
// a tie by nobody, while upstream, which adds 1e-6, would divide logits into infinity.
// Half precision ends at 65504.
const (
	minTemperature     = 1e-5
	minTemperatureHalf = 1e-3
)

// minTopP is the smallest that makes a difference in any vocabulary.
const minTopP = 1e-6

// neverStopEarly is one of the numbers that mean the same to upstream as negative ones,
// which its decoder refuses: together with all requests that run.
const neverStopEarly = 2

// leastPenalty is what upstream's decoder takes, while the least float32 fails all
// requests that run, too.
var leastPenalty = math.Nextafter32(-math.MaxFloat32, 0)

// normalized is a valid request with values that upstream's setters take and that mean
// the same.
func (e *Executor) normalized(r executor.Request) executor.Request {
	s := &r.Sampling
	least := float32(minTemperature)
	if e.options.LogitsType == logitsHalf {
		least = minTemperatureHalf
	}
	beams := s.BeamWidth > 1
	if s.Temperature > 0 && s.Temperature < least {
		s.Temperature = least
		if !beams { // what is subtracted after such a temperature is nothing
			s.TopK, s.Temperature, s.PresencePenalty, s.FrequencyPenalty = 1, 0, 0, 0
		}
	}
	if s.TopK >= e.options.VocabSize && !s.Greedy() {
		s.TopK = 0
	}
	if s.TopP > 0 {
		s.TopP = max(s.TopP, minTopP)
	}
	if s.Greedy() && !beams { // the order of logits is all that counts
		if s.PresencePenalty == 0 && s.FrequencyPenalty == 0 { // which are subtracted after the temperature
			s.Temperature = 0
		}
		s.TopP, s.MinP = 0, 0
		s.TopPDecay, s.TopPMin, s.TopPResetIDs = 0, 0, nil
	}
	r.EndIDs = distinct(r.EndIDs)
	if s.NoRepeatNgramSize >= len(r.InputIDs)+r.MaxTokens { // too few tokens for two
		s.NoRepeatNgramSize = 0
	}
	s.PromptIgnoreLength = min(s.PromptIgnoreLength, len(r.InputIDs))
	for _, v := range []*float32{&s.PresencePenalty, &s.FrequencyPenalty, &s.LengthPenalty} {
		*v = max(*v, leastPenalty)
	}
	return r
}

// settings collects what upstream is told, by the names of its setters.
type settings []native.Field

func (s *settings) ints(name string, values ...int64) { *s = append(*s, native.Ints(name, values...)) }

func (s *settings) float(name string, value float32) {
	*s = append(*s, native.Field{Name: name, Type: native.Float32, Floats: []float32{value}})
}

// optional tells upstream a number that is not the one which means none.
func (s *settings) optional(name string, value, none float32) {
	if value != 0 && value != none {
		s.float(name, value)
	}
}

func (s *settings) optionalInt(name string, value int) {
	if value > 0 {
		s.ints(name, int64(value))
	}
}

// words tells upstream a list of words, each after its length.
func (s *settings) words(name string, list [][]int32) {
	var values []int64
	for _, word := range list {
		values = append(values, int64(len(word)))
		for _, id := range word {
			values = append(values, int64(id))
		}
	}
	if len(values) > 0 {
		s.ints(name, values...)
	}
}

// translate makes upstream's request of a sequence. bias is its request's, or none.
func (e *Executor) translate(q *sequence, bias native.Array) native.Request {
	r := &q.Request
	s := make(settings, 0, 24)
	if q.beams() {
		s.beams(r)
	} else {
		s.ints("streaming", 1)
		s.choice(&r.Sampling)
		s.ints("seed", int64(r.Sampling.Seed+uint64(q.index))) // the same bits
	}
	s.ends(q)
	s.edits(r)
	s.words("badWords", r.BadSequences)
	s.outputs(q)
	s.float("priority", r.Priority)
	if r.AllottedTime > 0 {
		ms := (r.AllottedTime-1)/time.Millisecond + 1
		s.ints("allottedTimeMs", int64(min(ms, math.MaxInt32)))
	}
	if salt := q.salt(); salt != 0 {
		s.ints("cacheSaltID", int64(salt)) // the same bits
	}
	return native.Request{ClientID: q.id, Tokens: r.InputIDs, MaxTokens: r.MaxTokens, Settings: s, EmbeddingBias: bias}
}

// choice is how a token is chosen. TopK and TopP are always set: upstream's default is
// the engine's.
func (s *settings) choice(p *executor.Sampling) {
	s.ints("topK", int64(p.TopK))
	s.float("topP", cmp.Or(p.TopP, 1))
	s.optional("minP", p.MinP, 0)
	s.optional("topPDecay", p.TopPDecay, 1)
	s.optional("topPMin", p.TopPMin, 0)
	if len(p.TopPResetIDs) > 0 {
		s.ints("topPResetIds", int64(p.TopPResetIDs[0]))
	}
}

// beams is how beams are searched.
func (s *settings) beams(r *executor.Request) {
	p := &r.Sampling
	s.ints("beamWidth", int64(p.BeamWidth))
	if n := p.NumReturnSequences; n > 0 && n < p.BeamWidth {
		s.ints("numReturnSequences", int64(n))
	}
	early := int64(1)
	if p.EarlyStopping != nil {
		early = int64(min(math.MaxInt32, *p.EarlyStopping))
	}
	if early < 0 {
		early = neverStopEarly
	}
	s.ints("earlyStopping", early)
	s.float("lengthPenalty", p.LengthPenalty)
	s.optional("beamSearchDiversityRate", p.BeamSearchDiversityRate, 0)
}

// ends are what ends a sequence. Without an end id upstream runs to the last token. With
// one it is told of no min tokens too: its default is 1, which holds for requests that
// happen to run beside others with more.
func (s *settings) ends(q *sequence) {
	r := &q.Request
	endID := int64(-1)
	if len(r.EndIDs) > 0 {
		endID = int64(r.EndIDs[0])
		s.ints("minTokens", int64(min(r.Sampling.MinTokens, r.MaxTokens+1)))
	}
	s.ints("endId", endID)
	if r.Sampling.MinTokens > 0 {
		return // what is left is looked for here alone
	}
	var words [][]int32
	for _, id := range r.EndIDs[min(1, len(r.EndIDs)):] {
		words = append(words, []int32{id})
	}
	for _, stop := range r.StopSequences {
		if len(stop) == 1 || q.beams() {
			words = append(words, stop)
		}
	}
	s.words("stopWords", words)
}

// edits are what is done to logits before a token is chosen.
func (s *settings) edits(r *executor.Request) {
	p := &r.Sampling
	s.optional("temperature", p.Temperature, 1)
	s.optional("repetitionPenalty", p.RepetitionPenalty, 1)
	s.optional("presencePenalty", p.PresencePenalty, 0)
	s.optional("frequencyPenalty", p.FrequencyPenalty, 0)
	s.optionalInt("promptIgnoreLength", p.PromptIgnoreLength)
	s.optionalInt("noRepeatNgramSize", p.NoRepeatNgramSize)
}

// outputs are what upstream tells beside tokens.
func (s *settings) outputs(q *sequence) {
	s.ints("returnPerfMetrics", 1)
	if q.beams() || q.upstreamLogProbs {
		s.ints("returnLogProbs", 1)
	}
	if q.wantsLogits {
		s.ints("returnGenerationLogits", 1)
	}
	if q.wantsContextLogits() {
		s.ints("returnContextLogits", 1)
	}
}
