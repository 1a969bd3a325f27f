package trtllm

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// Text that may be the beginning of a stop word waits exactly until that is known.
func TestHeldBackText(t *testing.T) {
	for _, c := range []struct {
		name  string
		text  string
		words []string
		trim  bool
		want  []string // of the chunks
		end   FinishReason
	}{
		{"nothing to hold", "abc", []string{"zz"}, false, []string{"a", "b", "c"}, FinishLength},
		{"no words", "abc", nil, true, []string{"a", "b", "c"}, FinishLength},
		{"found", "aSTOPb", []string{"STOP"}, false, []string{"a", "", "", "", "STOP"}, FinishStop},
		{"found and trimmed", "aSTOPb", []string{"STOP"}, true, []string{"a", "", "", "", ""}, FinishStop},
		{"released when it cannot be one", "aSTEm", []string{"STOP"}, true, []string{"a", "", "", "STE", "m"}, FinishLength},
		{"released at the end", "aSTO", []string{"STOP"}, true, []string{"a", "", "", "STO"}, FinishLength},
		{"a part stays held", "aabaab!", []string{"aab!"}, true, []string{"", "", "", "aab", "", "", ""}, FinishStop},
		{"of two words the longer hold", "abcx", []string{"bcd", "cz"}, false, []string{"a", "", "", "bcx"}, FinishLength},
		{"the inner word ends first", "abcd", []string{"abcd", "bc"}, true, []string{"", "", "a"}, FinishStop},
		{"both end together: the longer one is trimmed", "xabc", []string{"bc", "abc"}, true, []string{"x", "", "", ""}, FinishStop},
		{"characters stay whole", "aé!", []string{"é?"}, false, []string{"a", "", "", "é!"}, FinishLength},
		{"a character cut off at the end", "a\xc3", []string{"Ã?"}, false, []string{"a", "\uFFFD"}, FinishLength},
		{"at once", "S", []string{"S"}, true, []string{""}, FinishStop},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &scripted{answer: saying(c.text)}
			e := scriptedEngine(t, x)
			r := Request{Prompt: "p", StopWords: c.words, TrimStopWords: c.trim}
			chunks, err := chunksOf(t.Context(), e, r)
			require.NoError(t, err)
			require.Equal(t, c.want, texts(chunks))
			require.Equal(t, c.end, chunks[len(chunks)-1].FinishReason)
			for i, chunk := range chunks {
				require.Len(t, chunk.OutputIDs, 1, "ids come at once")
				require.Equal(t, i == len(chunks)-1, chunk.FinishReason != FinishNone)
				require.Nil(t, chunk.LogProbs, "they were not asked for")
			}
			response, err := e.Generate(t.Context(), r)
			require.NoError(t, err)
			require.Equal(t, strings.Join(c.want, ""), response.Text)
			require.Len(t, response.OutputIDs, len(chunks), "ids of a trimmed word stay")
			require.Nil(t, response.LogProbs)
		})
	}
}

// A word that came before MinTokens is over, also where it is held as a part of another.
func TestStopWordBeforeMinTokens(t *testing.T) {
	e := scriptedEngine(t, &scripted{answer: saying("xabz")})
	r := Request{Prompt: "p", StopWords: []string{"ab", "xaby"}, Sampling: Sampling{MinTokens: 4}}
	response, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, "xabz", response.Text)
	require.Equal(t, FinishLength, response.FinishReason)
	r.Sampling.MinTokens = 3
	response, err = e.Generate(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, "xab", response.Text)
	require.Equal(t, FinishStop, response.FinishReason)

	// One that the end of the output completes.
	e = scriptedEngine(t, &scripted{answer: saying("a\xc3")})
	response, err = e.Generate(t.Context(), Request{Prompt: "p", StopWords: []string{"\uFFFD"}, Sampling: Sampling{MinTokens: 3}})
	require.NoError(t, err)
	require.Equal(t, "a\uFFFD", response.Text)
	require.Equal(t, FinishLength, response.FinishReason)
}

// A word is found or not, and text held or not, whatever the tokens are: the joined
// text is what a plain search in the whole text gives.
func TestStopWordsEqualSearch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	letters := func(n int) string {
		var s strings.Builder
		for range n {
			s.WriteByte("aab€"[random.IntN(3)])
		}
		return s.String()
	}
	found := 0
	for range 3000 {
		text, words, trim := letters(random.IntN(24)), []string{letters(1 + random.IntN(6)), letters(1 + random.IntN(6)), ""}, random.IntN(2) == 0
		want, stops := searched(text, words[:2], trim)
		s, got, stopped := newStopWords(words, trim), "", false
		for at := 0; at < len(text) && !stopped; {
			next := min(len(text), at+random.IntN(5))
			var certain string
			certain, stopped = s.next(text[at:next], true)
			got, at = got+certain, next
			if !stopped {
				// Not more is held than what a word begins with.
				require.Equal(t, text[:at], got+s.held)
				require.True(t, s.held == "" || slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, s.held) && w != s.held }))
			}
		}
		if !stopped {
			got += s.release()
		} else {
			found++
		}
		require.Equal(t, stops, stopped, "%q in %q", words, text)
		require.Equal(t, want, got, "%q in %q", words, text)
	}
	require.Greater(t, found, 500)
}

// searched is what is left of a text when it ends with the word that ends first.
func searched(text string, words []string, trim bool) (left string, found bool) {
	for end := 1; end <= len(text); end++ {
		longest := ""
		for _, w := range words {
			if strings.HasSuffix(text[:end], w) && len(w) > len(longest) {
				longest = w
			}
		}
		if longest != "" {
			if trim {
				return text[:end-len(longest)], true
			}
			return text[:end], true
		}
	}
	return text, false
}

// MinTokens lets words pass, and what was held for them.
func TestMinTokensLetsWordsPass(t *testing.T) {
	for _, c := range []struct {
		min  int
		text string
		want []string
		end  FinishReason
	}{
		{4, "STaSTb", []string{"", "ST", "a", "", ""}, FinishStop}, // the second one, trimmed
		{5, "STaSTb", []string{"", "ST", "a", "", ""}, FinishStop},
		{6, "STaSTb", []string{"", "ST", "a", "", "ST", "b"}, FinishLength},
		{2, "ST", []string{"", ""}, FinishStop},
		{3, "ST", []string{"", "ST"}, FinishLength},
	} {
		e := scriptedEngine(t, &scripted{answer: saying(c.text)})
		chunks, err := chunksOf(t.Context(), e, Request{Prompt: "p", StopWords: []string{"ST"}, TrimStopWords: true, Sampling: Sampling{MinTokens: c.min}})
		require.NoError(t, err)
		require.Equal(t, c.want, texts(chunks), "min tokens %d", c.min)
		require.Equal(t, c.end, chunks[len(chunks)-1].FinishReason)
	}
}

// A stop word stops its sequence at the executor and no other one, which goes on.
func TestStopWordStopsOneSequence(t *testing.T) {
	x := &scripted{}
	x.answer = func(executor.Request) ([]executor.Response, error) {
		return slices.Concat(tokens(0, 0, bytesOf("a.")...), tokens(1, 0, 'x'), tokens(0, 0, 'b')), nil // the b was on its way
	}
	x.stop = func(id uint64, sequence int) []executor.Response {
		stopped := executor.Response{ClientID: id, Sequence: sequence, FinishReason: executor.FinishStop, SequenceFinal: true}
		rest := final(tokens(1, executor.FinishLength, 'y', 'z'))
		for i := range rest {
			rest[i].ClientID = id
		}
		return slices.Concat([]executor.Response{stopped}, rest)
	}
	e := scriptedEngine(t, x)
	r := Request{Prompt: "p", StopWords: []string{"."}, Sampling: Sampling{Temperature: 1, NumReturnSequences: 2}}
	response, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, "a.", response.Sequences[0].Text)
	require.Equal(t, FinishStop, response.Sequences[0].FinishReason)
	require.Equal(t, "xyz", response.Sequences[1].Text)
	require.Equal(t, FinishLength, response.Sequences[1].FinishReason)
	require.Equal(t, [][2]uint64{{1, 0}}, x.stopped)
	require.Empty(t, x.cancelled)
	require.True(t, x.last(t).Streaming, "words are looked for after each token")
}

// A sequence that stopped by itself with the token that completed a word needs no Stop.
func TestNoStopAfterTheEnd(t *testing.T) {
	x := &scripted{answer: saying("ab")}
	e := scriptedEngine(t, x)
	response, err := e.Generate(t.Context(), Request{Prompt: "p", StopWords: []string{"b"}})
	require.NoError(t, err)
	require.Equal(t, FinishStop, response.FinishReason)
	require.Empty(t, x.stopped)
}

// When all sequences were stopped, the loop waits until the executor has let go, and
// nothing is cancelled; the context may still do that.
func TestStoppedRequestIsWaitedFor(t *testing.T) {
	x := &scripted{
		answer: func(executor.Request) ([]executor.Response, error) { return tokens(0, 0, 'a', '.'), nil },
		stop:   func(uint64, int) []executor.Response { return nil }, // not yet
	}
	e := scriptedEngine(t, x)
	done := make(chan *Response)
	go func() {
		response, err := e.Generate(t.Context(), Request{Prompt: "p", StopWords: []string{"."}})
		if err != nil {
			t.Error(err)
		}
		done <- response
	}()
	require.Eventually(t, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return len(x.stopped) == 1
	}, testTimeout, testTick)
	select {
	case <-done:
		require.Fail(t, "it is still there")
	default:
	}
	x.send(executor.Response{ClientID: 1, FinishReason: executor.FinishStop, SequenceFinal: true, Final: true})
	response := <-done
	require.Equal(t, "a.", response.Text)
	require.Empty(t, x.cancelled)
}

// What several tokens at once bring is cut after the token that completed the word,
// with all that belongs to it.
func TestStopWordInsideOfAResponse(t *testing.T) {
	x := &scripted{answer: func(r executor.Request) ([]executor.Response, error) {
		require.True(t, r.LogProbs, "what is cut off is taken from their sum")
		return []executor.Response{{
			OutputIDs: bytesOf("a.bc"), LogProbs: []float32{-1, -2, -4, -8}, CumLogProb: -15,
			TopLogProbs: [][]executor.LogProb{{{Token: 1}}, {{Token: 2}}, {{Token: 3}}, {{Token: 4}}}, Logits: [][]float32{{1}, {2}, {3}, {4}},
		}}, nil
	}}
	e := scriptedEngine(t, x)
	response, err := e.Generate(t.Context(), Request{Prompt: "p", StopWords: []string{"."}, LogProbs: true, TopLogProbs: 1, GenerationLogits: true})
	require.NoError(t, err)
	require.Equal(t, Sequence{
		OutputIDs: bytesOf("a."), Text: "a.", FinishReason: FinishStop, LogProbs: []float32{-1, -2}, CumLogProb: -3,
		TopLogProbs: [][]LogProb{{{Token: 1}}, {{Token: 2}}}, Logits: [][]float32{{1}, {2}},
	}, response.Sequence)
	// The sum is right also when the log-probs were not asked for.
	response, err = e.Generate(t.Context(), Request{Prompt: "p", StopWords: []string{"."}})
	require.NoError(t, err)
	require.InDelta(t, -3, response.CumLogProb, 0)
	require.Nil(t, response.LogProbs)
}

// Beams come at the end, each as one chunk, and are cut where a word stands in them.
func TestBeamsInAStream(t *testing.T) {
	x := &scripted{answer: func(executor.Request) ([]executor.Response, error) {
		beam := func(sequence int, text string) []executor.Response {
			ids := bytesOf(text)
			return []executor.Response{{
				Sequence: sequence, OutputIDs: ids, LogProbs: slices.Repeat([]float32{-1}, len(ids)), CumLogProb: -7.5,
				FinishReason: executor.FinishLength, SequenceFinal: true,
			}}
		}
		return final(beam(0, "one. two"), beam(1, "uno")), nil
	}}
	e := scriptedEngine(t, x)
	r := Request{Prompt: "p", StopWords: []string{"."}, Sampling: Sampling{BeamWidth: 2}}
	chunks, err := chunksOf(t.Context(), e, r)
	require.NoError(t, err)
	require.Equal(t, []string{"one.", "uno"}, texts(chunks))
	require.Equal(t, []FinishReason{FinishStop, FinishLength}, []FinishReason{chunks[0].FinishReason, chunks[1].FinishReason})
	require.Equal(t, [][]int32{{'.'}}, x.last(t).StopSequences, "so that beams end where the word is generated")
	require.Empty(t, x.stopped)
	response, err := e.Generate(t.Context(), r)
	require.NoError(t, err)
	require.Len(t, response.Sequences, 2)
	require.Equal(t, "one.", response.Text)
	require.InDelta(t, -7.5, response.CumLogProb, 0, "what it was ranked by, which is no sum of log-probs")
}

// Nothing is queued before the loop begins, and each loop is a request of its own.
func TestStreamBeginsWithTheLoop(t *testing.T) {
	x := &scripted{answer: saying("ab")}
	e := scriptedEngine(t, x)
	stream := e.Stream(t.Context(), Request{Prompt: "p"})
	require.Empty(t, x.requests)
	for range 2 {
		var ids []uint64
		for chunk, err := range stream {
			require.NoError(t, err)
			ids = append(ids, chunk.RequestID)
		}
		require.Equal(t, []uint64{x.last(t).ClientID, x.last(t).ClientID}, ids)
	}
	require.Len(t, x.requests, 2)
}

// A loop that is left, at whatever chunk, has cancelled its request when it is over.
func TestLeavingALoopAnywhere(t *testing.T) {
	for leave := range 5 {
		x := &scripted{answer: func(executor.Request) ([]executor.Response, error) { return tokens(0, 0, bytesOf("abcdefgh")...), nil }}
		e := scriptedEngine(t, x)
		n := 0
		for _, err := range e.Stream(t.Context(), Request{Prompt: "p"}) {
			require.NoError(t, err)
			if n++; n > leave {
				break
			}
		}
		require.Equal(t, leave+1, n)
		require.Equal(t, []uint64{1}, x.cancelled)
		require.Empty(t, x.live)
		require.Empty(t, e.calls)
	}
}

// Any ids in any responses give whole characters that join to what Generate gives.
func TestChunksJoinToGenerate(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		text := []byte(strings.Repeat("né€😀 STOP!", 1+random.IntN(2)))
		if random.IntN(3) == 0 {
			text[random.IntN(len(text))] = 0xFF
		}
		var responses []executor.Response
		for at := 0; at < len(text); {
			n := min(len(text)-at, 1+random.IntN(4))
			ids := bytesOf(string(text[at : at+n]))
			responses = append(responses, executor.Response{OutputIDs: ids, LogProbs: make([]float32, n)})
			at += n
		}
		last := &responses[len(responses)-1]
		last.FinishReason, last.SequenceFinal, last.Final = executor.FinishLength, true, true
		e := scriptedEngine(t, &scripted{answer: func(executor.Request) ([]executor.Response, error) { return slices.Clone(responses), nil }})
		r := Request{Prompt: "p", TrimStopWords: random.IntN(2) == 0, LogProbs: true}
		if random.IntN(2) == 0 {
			r.StopWords = []string{"STOP?", "😀 S", "!n"}[:random.IntN(4)]
		}
		whole, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		chunks, err := chunksOf(t.Context(), e, r)
		require.NoError(t, err)
		joined := Response{Sequences: make([]Sequence, 1)}
		for i := range chunks {
			require.True(t, utf8.ValidString(chunks[i].Text), "%q", chunks[i].Text)
			joined.add(&chunks[i])
		}
		require.Equal(t, whole.Sequence, joined.Sequences[0])
		decoded, err := e.tokenizer.Decode(bytesOf(string(text)), tokenizer.DecodeOptions{})
		require.NoError(t, err)
		want, _ := searched(decoded, r.StopWords, r.TrimStopWords)
		require.Equal(t, want, whole.Text)
		require.NoError(t, e.Close())
	}
}
