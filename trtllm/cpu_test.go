//go:build cgo && linux && (amd64 || arm64)

package trtllm_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/tokenizer"
	"github.com/trtgo/trtgo/trtllm"
)

// engines are the engines of the tiny models that tests share: a test must not
// change them.
var engines struct {
	sync.Mutex
	dirs map[string]string
}

// engineDir takes a tiny model through export and build, once, and returns the
// engine's directory.
func engineDir(t testing.TB, name, dtype string) string {
	t.Helper()
	engines.Lock()
	defer engines.Unlock()
	key := name + " " + dtype
	if engines.dirs[key] == "" {
		dir := filepath.Join(trtllm.SharedTestDir, key)
		buildEngine(t, testmodel.Dir(t, name), dtype, build.Options{OutputDir: dir})
		if engines.dirs == nil {
			engines.dirs = map[string]string{}
		}
		engines.dirs[key] = dir
	}
	return engines.dirs[key]
}

// buildEngine exports a source and builds the engine that o describes.
func buildEngine(t testing.TB, source, dtype string, o build.Options) string {
	t.Helper()
	o.CheckpointDir = filepath.Join(t.TempDir(), "checkpoint")
	_, err := export.Convert(t.Context(), source, export.Options{OutputDir: o.CheckpointDir, Dtype: dtype})
	require.NoError(t, err)
	if o.OutputDir == "" {
		o.OutputDir = filepath.Join(t.TempDir(), "engine")
	}
	_, err = build.Build(t.Context(), o)
	require.NoError(t, err)
	return o.OutputDir
}

// open opens an engine on one thread, unless an option says otherwise.
func open(t testing.TB, dir string, options ...trtllm.Option) *trtllm.Engine {
	t.Helper()
	e, err := trtllm.Open(t.Context(), dir, append([]trtllm.Option{trtllm.WithThreads(1)}, options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// stream joins the chunks of a stream.
func stream(ctx context.Context, e *trtllm.Engine, r trtllm.Request) (trtllm.Sequence, error) {
	var s trtllm.Sequence
	for chunk, err := range e.Stream(ctx, r) {
		if err != nil {
			return s, err
		}
		s.Text += chunk.Text
		s.OutputIDs = append(s.OutputIDs, chunk.OutputIDs...)
		s.LogProbs = append(s.LogProbs, chunk.LogProbs...)
		s.CumLogProb, s.FinishReason = chunk.CumLogProb, chunk.FinishReason
	}
	return s, nil
}

// untimed is what does not depend on the clock.
func untimed(s trtllm.Sequence) trtllm.Sequence {
	s.Timing, s.Cache = trtllm.Timing{}, trtllm.SequenceCache{}
	return s
}

// Every tiny model says what transformers says, through export, build and both ways
// to generate. Ids are equal until the first step whose margin is below the
// precision's, and log-probs within its tolerance.
func TestGreedyEqualsTransformers(t *testing.T) {
	for _, name := range testmodel.Names() {
		golden := testmodel.Golden(t, name)
		for _, c := range []struct {
			name, dtype, precision string
			margin                 float32
			logProbs               float64 // tolerance; 0 is none
			wanted                 bool
		}{
			{"float32", "float32", "exact", 0.02, 3e-4, true},
			{"bfloat16 exact", "bfloat16", "exact", 0.02, 2e-3, golden.Weights == "bfloat16"},
			{"bfloat16 fast", "bfloat16", "fast", 0.25, 0, golden.Fast},
		} {
			if !c.wanted {
				continue
			}
			t.Run(name+" "+c.name, func(t *testing.T) {
				e := open(t, engineDir(t, name, c.dtype), trtllm.WithPrecision(c.precision))
				require.Equal(t, c.precision, e.Config().Precision)
				require.Equal(t, golden.VocabSize, e.Config().VocabSize)
				for p, prompt := range golden.Prompts {
					r := trtllm.Request{InputIDs: prompt, MaxTokens: testmodel.Steps, EndIDs: []int32{}, LogProbs: true}
					response, err := e.Generate(t.Context(), r)
					require.NoError(t, err)
					compareGreedy(t, golden, p, response.Sequence, c.margin, c.logProbs)
					streamed, err := stream(t.Context(), e, r)
					require.NoError(t, err)
					require.Equal(t, untimed(response.Sequence), untimed(streamed))
				}
			})
		}
	}
}

func compareGreedy(t *testing.T, golden testmodel.Reference, p int, got trtllm.Sequence, margin float32, tolerance float64) {
	t.Helper()
	require.Len(t, got.OutputIDs, testmodel.Steps)
	require.Len(t, got.LogProbs, testmodel.Steps)
	n := slices.IndexFunc(golden.Margins[p], func(m float32) bool { return m < margin })
	if n < 0 {
		n = testmodel.Steps
	} else {
		t.Logf("prompt %d: compared up to step %d, where the margin is %.3f", p, n, golden.Margins[p][n])
	}
	require.GreaterOrEqual(t, n, testmodel.Steps/2, "prompt %d: too few steps to compare", p)
	require.Equal(t, golden.GreedyIDs[p][:n], got.OutputIDs[:n], "prompt %d", p)
	for i := range n {
		if tolerance > 0 {
			require.InDelta(t, golden.LogProbs[p][i], got.LogProbs[i], tolerance, "prompt %d, step %d", p, i)
		}
	}
}

// Texts and conversations become the ids that transformers makes of them, and the
// ids the text.
func TestTextEqualsTransformers(t *testing.T) {
	golden := testmodel.Golden(t, "llama-text")
	require.NotEmpty(t, golden.Texts)
	e := open(t, engineDir(t, "llama-text", "bfloat16"), trtllm.WithPrecision("exact"))
	chats := 0
	for p, text := range golden.Texts {
		r := trtllm.Request{Prompt: text.Text, MaxTokens: testmodel.Steps, EndIDs: []int32{}}
		if len(text.Messages) > 0 {
			chats++
			r.Prompt = ""
			for _, m := range text.Messages {
				r.Messages = append(r.Messages, tokenizer.Message{Role: m.Role, Content: m.Content})
			}
		}
		response, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, golden.Prompts[p], response.InputIDs)
		require.Equal(t, golden.GreedyIDs[p], response.OutputIDs)
		require.Equal(t, text.OutputText, response.Text)
		streamed, err := stream(t.Context(), e, r)
		require.NoError(t, err)
		require.Equal(t, text.OutputText, streamed.Text)
	}
	require.Positive(t, chats)
	require.Less(t, chats, len(golden.Texts))
}

// Logits have the shapes that the documentation gives, and transformers' values.
func TestLogitsEqualTransformers(t *testing.T) {
	golden := testmodel.Golden(t, "nemotron")
	e := open(t, engineDir(t, "nemotron", "float32"))
	for p, prompt := range golden.Prompts {
		r := trtllm.Request{InputIDs: prompt, MaxTokens: 5, EndIDs: []int32{}, ContextLogits: true, GenerationLogits: true}
		response, err := e.Generate(t.Context(), r)
		require.NoError(t, err)
		requireClose(t, golden.Logits[p], response.ContextLogits)
		require.Len(t, response.Logits, 5)
		require.Equal(t, response.ContextLogits[len(prompt)-1], response.Logits[0])
		for i, row := range response.Logits {
			require.Len(t, row, golden.VocabSize)
			require.Equal(t, slices.Max(row), row[response.OutputIDs[i]])
		}
		first := true
		for chunk, err := range e.Stream(t.Context(), r) {
			require.NoError(t, err)
			if first {
				require.Equal(t, response.ContextLogits, chunk.ContextLogits)
			} else {
				require.Nil(t, chunk.ContextLogits)
			}
			require.Len(t, chunk.Logits, len(chunk.OutputIDs))
			first = false
		}
	}
}

// requireClose compares logits with the tolerances of float32 engines.
func requireClose(t *testing.T, want, got [][]float32) {
	t.Helper()
	require.Len(t, got, len(want))
	largest, squares, n := 0.0, 0.0, 0
	for i := range want {
		require.Len(t, got[i], len(want[i]))
		for j := range want[i] {
			d := math.Abs(float64(want[i][j]) - float64(got[i][j]))
			largest, squares, n = max(largest, d), squares+d*d, n+1
		}
	}
	require.LessOrEqual(t, largest, 1.5e-4)
	require.LessOrEqual(t, math.Sqrt(squares/float64(n)), 2e-5)
}

// requests are many different ones for a vocabulary: greedy, drawn, penalised,
// stopped early, several sequences, asking for logits.
func requests(vocabSize int) []trtllm.Request {
	random := rand.New(rand.NewPCG(3, 4))
	samplings := []trtllm.Sampling{
		{}, {Temperature: 0.8}, {TopK: 5}, {TopP: 0.9}, {TopK: 50, TopP: 0.7, Temperature: 1.4}, {MinP: 0.05, Temperature: 1.2},
		{RepetitionPenalty: 1.3}, {Temperature: 1, PresencePenalty: 0.5, FrequencyPenalty: 0.3}, {NoRepeatNgramSize: 2},
		{Temperature: 1, NumReturnSequences: 3}, {TopK: 2000}, {MinTokens: 6, Bias: map[int32]float32{2: 3, 7: -4}},
	}
	var list []trtllm.Request
	for i, s := range samplings {
		s.Seed = uint64(i) << 40
		for _, n := range []int{1, 2 + random.IntN(40)} {
			r := trtllm.Request{MaxTokens: 3 + random.IntN(20), Sampling: s, LogProbs: i%2 == 0, GenerationLogits: i%5 == 0, EndIDs: []int32{2, 9}}
			for range n {
				r.InputIDs = append(r.InputIDs, random.Int32N(int32(vocabSize)))
			}
			list = append(list, r)
		}
	}
	return list
}

// What is generated does not depend on what else runs: not on who came before, not
// on how many fit the batch or the KV cache, not on the cutting of prompts.
func TestManyEqualEachAlone(t *testing.T) {
	for _, model := range []string{"llama-gqa", "nemotron"} {
		dir := engineDir(t, model, "bfloat16")
		alone := open(t, dir)
		list := requests(alone.Config().VocabSize)
		want := make([]*trtllm.Response, len(list))
		for i, r := range list {
			var err error
			want[i], err = alone.Generate(t.Context(), r)
			require.NoError(t, err)
			for j := range want[i].Sequences {
				want[i].Sequences[j].Timing = trtllm.Timing{}
			}
		}
		// Steps of 32 tokens, so that prompts are cut.
		chunked := buildEngine(t, testmodel.Dir(t, model), "bfloat16", build.Options{MaxNumTokens: 32, MaxBatchSize: 16})
		for name, e := range map[string]*trtllm.Engine{
			"many in a batch":  open(t, dir, trtllm.WithThreads(2)),
			"three in a batch": open(t, dir, trtllm.WithMaxBatchSize(3)),
			"small KV cache":   open(t, dir, trtllm.WithKVCacheTokens(160)),
			"short steps":      open(t, chunked),
		} {
			t.Run(model+" "+name, func(t *testing.T) {
				var wait sync.WaitGroup
				for _, i := range rand.New(rand.NewPCG(5, 6)).Perm(len(list)) {
					for range i % 7 {
						runtime.Gosched() // some come while others run
					}
					wait.Go(func() {
						if len(want[i].Sequences) == 1 && i%2 == 0 {
							got, err := stream(t.Context(), e, list[i])
							if err != nil || !slices.Equal(got.OutputIDs, want[i].OutputIDs) || !slices.Equal(got.LogProbs, want[i].LogProbs) || got.CumLogProb != want[i].CumLogProb {
								t.Errorf("request %d: %v (%v), alone %v", i, got, err, want[i].Sequence)
							}
							return
						}
						got, err := e.Generate(t.Context(), list[i])
						if err != nil {
							t.Errorf("request %d: %v", i, err)
							return
						}
						for j := range got.Sequences {
							if g := untimed(got.Sequences[j]); !same(g, want[i].Sequences[j]) {
								t.Errorf("request %d sequence %d: %v, alone %v", i, j, g.OutputIDs, want[i].Sequences[j].OutputIDs)
							}
						}
					})
				}
				wait.Wait()
				stats := e.Stats()
				require.Zero(t, stats.KVBlocksUsed+stats.ActiveRequests+stats.QueuedRequests)
				require.EqualValues(t, len(list), stats.FinishedRequests)
			})
		}
	}
}

// same compares to the bit.
func same(a, b trtllm.Sequence) bool {
	return a.FinishReason == b.FinishReason && a.Text == b.Text && a.CumLogProb == b.CumLogProb &&
		slices.Equal(a.OutputIDs, b.OutputIDs) && slices.Equal(a.LogProbs, b.LogProbs) &&
		slices.EqualFunc(a.Logits, b.Logits, func(x, y []float32) bool { return slices.Equal(x, y) })
}

// long is a request that would run for thousands of steps.
func long() trtllm.Request {
	return trtllm.Request{InputIDs: []int32{1, 2, 3}, EndIDs: []int32{}, Sampling: trtllm.Sampling{Temperature: 1, NumReturnSequences: 8}}
}

// A context that ends frees what its request held, and nobody else is disturbed.
func TestCancelFreesBlocks(t *testing.T) {
	e := open(t, engineDir(t, "llama-text", "bfloat16"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	other := make(chan error, 1)
	short := trtllm.Request{InputIDs: []int32{9, 8, 7}, MaxTokens: 30, EndIDs: []int32{}}
	want, err := e.Generate(t.Context(), short)
	require.NoError(t, err)
	var got error
	tokens := 0
	for chunk, err := range e.Stream(ctx, long()) {
		if got = err; err != nil {
			break
		}
		if tokens += len(chunk.OutputIDs); tokens == 3 {
			require.Positive(t, e.Stats().KVBlocksUsed)
			go func() {
				response, err := e.Generate(t.Context(), short)
				if err == nil && !slices.Equal(response.OutputIDs, want.OutputIDs) {
					err = errors.New("disturbed")
				}
				other <- err
			}()
			cancel()
		}
	}
	require.ErrorIs(t, got, context.Canceled)
	require.Less(t, tokens, 8000)
	require.NoError(t, <-other)
	require.Zero(t, e.Stats().KVBlocksUsed)
	require.Zero(t, e.Stats().ActiveRequests)

	// A loop that is left, or that panics, has cancelled its request when it is over.
	for range e.Stream(t.Context(), long()) {
		break
	}
	require.Zero(t, e.Stats().KVBlocksUsed)
	require.PanicsWithValue(t, "mine", func() {
		for range e.Stream(t.Context(), long()) {
			panic("mine")
		}
	})
	require.Zero(t, e.Stats().KVBlocksUsed)
	response, err := e.Generate(t.Context(), short)
	require.NoError(t, err)
	require.Equal(t, want.OutputIDs, response.OutputIDs)
}

// Close ends what runs; other engines of the process go on.
func TestCloseWhileRunning(t *testing.T) {
	dir := engineDir(t, "llama-text", "bfloat16")
	e, other := open(t, dir), open(t, dir)
	want, err := e.Generate(t.Context(), trtllm.Request{Prompt: "one", MaxTokens: 20})
	require.NoError(t, err)
	running := make(chan struct{}, 4)
	failed := make(chan error, 4)
	for range 4 {
		go func() {
			var last error
			first := true
			for _, last = range e.Stream(context.Background(), long()) {
				if first {
					running <- struct{}{}
					first = false
				}
			}
			failed <- last
		}()
	}
	for range 4 {
		<-running
	}
	require.NoError(t, e.Close())
	for range 4 {
		require.ErrorIs(t, <-failed, trtllm.ErrClosed)
	}
	_, err = e.Generate(t.Context(), long())
	require.ErrorIs(t, err, trtllm.ErrClosed)
	require.NoError(t, e.Close())
	require.Zero(t, e.Stats().KVBlocksUsed)

	response, err := other.Generate(t.Context(), trtllm.Request{Prompt: "one", MaxTokens: 20})
	require.NoError(t, err)
	require.Equal(t, want.OutputIDs, response.OutputIDs)
}

// Two engines of different models in one process, used at once.
func TestTwoEngines(t *testing.T) {
	var wait sync.WaitGroup
	for _, name := range []string{"llama-gqa", "nemotron"} {
		golden := testmodel.Golden(t, name)
		e := open(t, engineDir(t, name, "float32"))
		for p, prompt := range golden.Prompts {
			wait.Go(func() {
				r := trtllm.Request{InputIDs: prompt, MaxTokens: testmodel.Steps / 2, EndIDs: []int32{}}
				response, err := e.Generate(t.Context(), r)
				if err != nil || !slices.Equal(golden.GreedyIDs[p][:testmodel.Steps/2], response.OutputIDs) {
					t.Errorf("%s prompt %d: %v %v", name, p, response, err)
				}
			})
		}
	}
	wait.Wait()
}

// Prompts and outputs up to the very limits are run, one token more is refused at once.
func TestLimits(t *testing.T) {
	dir := buildEngine(t, testmodel.Dir(t, "llama-gqa"), "bfloat16", build.Options{MaxInputLen: 50, MaxSeqLen: 70, MaxBatchSize: 2, MaxNumTokens: 32})
	e := open(t, dir)
	c := e.Config()
	require.Equal(t, []int{2, 50, 70, 32}, []int{c.MaxBatchSize, c.MaxInputLen, c.MaxSeqLen, c.MaxNumTokens})
	require.Equal(t, "LlamaForCausalLM", c.Architecture)
	require.Equal(t, "cpu", c.Backend)
	require.Equal(t, "bfloat16", c.Dtype)
	require.Equal(t, "fast", c.Precision, "the default of bfloat16 engines")
	generate := func(prompt, tokens int) (*trtllm.Response, error) {
		return e.Generate(t.Context(), trtllm.Request{InputIDs: make([]int32, prompt), MaxTokens: tokens, EndIDs: []int32{}})
	}
	for _, n := range [][2]int{{50, 20}, {1, 69}, {50, 1}} {
		response, err := generate(n[0], n[1])
		require.NoError(t, err)
		require.Len(t, response.OutputIDs, n[1])
	}
	response, err := generate(50, 0)
	require.NoError(t, err)
	require.Len(t, response.OutputIDs, 20, "all that is left")
	for _, n := range [][2]int{{51, 1}, {50, 21}, {1, 70}} {
		_, err := generate(n[0], n[1])
		require.ErrorIs(t, err, trtllm.ErrTooLong)
	}
	require.Zero(t, e.Stats().QueuedRequests)
}

// max_seq_len is obeyed when it is more than the model was made for, and so is what
// linear rope scaling adds. A limit above the runner's own is a ceiling.
func TestLimitsAboveTheModels(t *testing.T) {
	for _, c := range []struct {
		model   string
		options build.Options
		want    int
	}{
		{"llama-gqa", build.Options{MaxSeqLen: 300, MaxBatchSize: 2}, 300},
		{"llama-linear-rope", build.Options{MaxBatchSize: 2}, 512},
		{"llama-gqa", build.Options{MaxBatchSize: 1 << 25}, 128},
		{"llama-gqa", build.Options{MaxBatchSize: 1 << 19, Plugins: map[string]string{"remove_input_padding": "disable"}}, 128},
	} {
		e := open(t, buildEngine(t, testmodel.Dir(t, c.model), "bfloat16", c.options))
		require.Equal(t, c.want, e.Config().MaxSeqLen)
		response, err := e.Generate(t.Context(), trtllm.Request{InputIDs: make([]int32, c.want/2), EndIDs: []int32{}})
		require.NoError(t, err)
		require.Len(t, response.OutputIDs, c.want-c.want/2)
	}
}

// A request that is larger than the KV cache is refused, for it would wait for ever.
func TestSmallKVCache(t *testing.T) {
	e := open(t, engineDir(t, "llama-gqa", "bfloat16"), trtllm.WithKVCacheTokens(64))
	require.Equal(t, 64, e.Config().KVCacheTokens)
	require.Equal(t, 64, e.Config().MaxSeqLen)
	_, err := e.Generate(t.Context(), trtllm.Request{InputIDs: make([]int32, 40), MaxTokens: 25})
	require.ErrorIs(t, err, trtllm.ErrTooLong)
	response, err := e.Generate(t.Context(), trtllm.Request{InputIDs: make([]int32, 40), EndIDs: []int32{}})
	require.NoError(t, err)
	require.Len(t, response.OutputIDs, 24)
}

// A share of the memory may be more than the limits need, and less than one block.
func TestKVCacheFraction(t *testing.T) {
	dir := engineDir(t, "llama-gqa", "bfloat16")
	needed := open(t, dir, trtllm.WithMaxBatchSize(2)).Config().KVCacheTokens
	require.Greater(t, open(t, dir, trtllm.WithMaxBatchSize(2), trtllm.WithKVCacheFraction(0.01)).Config().KVCacheTokens, needed)
	require.Equal(t, 64, open(t, dir, trtllm.WithKVCacheFraction(0.01), trtllm.WithKVCacheTokens(64)).Config().KVCacheTokens)
	_, err := trtllm.Open(t.Context(), dir, trtllm.WithKVCacheFraction(1e-9))
	require.ErrorIs(t, err, trtllm.ErrOutOfMemory)
	require.ErrorContains(t, err, "raise kv_cache_free_gpu_memory_fraction")
}

func TestOpenOptions(t *testing.T) {
	dir := engineDir(t, "llama-gqa", "bfloat16")
	e := open(t, dir, trtllm.WithThreads(2), trtllm.WithPrecision("exact"), trtllm.WithLoad("copy"), trtllm.WithMaxBatchSize(3), trtllm.WithKVCacheTokens(100))
	c := e.Config()
	require.Equal(t, "exact", c.Precision)
	require.Equal(t, 3, c.MaxBatchSize)
	require.Equal(t, 128, c.KVCacheTokens, "whole blocks")
	require.Equal(t, 2048, open(t, dir, trtllm.WithMaxBatchSize(1<<40)).Config().MaxBatchSize, "the engine's own limit")

	f32 := open(t, engineDir(t, "llama-gqa", "float32"), trtllm.WithPrecision("fast"))
	require.Equal(t, "exact", f32.Config().Precision, "engines of float32 are exact")

	for what, option := range map[string]trtllm.Option{
		"threads is -1": trtllm.WithThreads(-1), `precision "quick"`: trtllm.WithPrecision("quick"), `load "fast"`: trtllm.WithLoad("fast"),
		"max_batch_size is -3": trtllm.WithMaxBatchSize(-3), "KV cache tokens is -4": trtllm.WithKVCacheTokens(-4),
	} {
		_, err := trtllm.Open(t.Context(), dir, option)
		require.ErrorContains(t, err, what)
		require.NotErrorIs(t, err, trtllm.ErrNotAnEngine)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := trtllm.Open(ctx, dir)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTokenizerOptions(t *testing.T) {
	dir := engineDir(t, "llama-gqa", "bfloat16") // which has no tokenizer
	e := open(t, dir)
	_, err := e.Generate(t.Context(), trtllm.Request{Prompt: "x"})
	require.ErrorIs(t, err, trtllm.ErrNoTokenizer)

	text := testmodel.Dir(t, "llama-text")
	for _, option := range []trtllm.Option{trtllm.WithTokenizerDir(text), trtllm.WithTokenizerFile(filepath.Join(text, "tokenizer.json"))} {
		tok, err := open(t, dir, option).Tokenizer()
		require.NoError(t, err)
		require.Equal(t, 2603, tok.VocabSize())
	}
	_, err = trtllm.Open(t.Context(), dir, trtllm.WithTokenizerDir(t.TempDir()))
	require.ErrorIs(t, err, trtllm.ErrNoTokenizer)
	_, err = trtllm.Open(t.Context(), dir, trtllm.WithTokenizerFile(filepath.Join(text, "none.json")))
	require.ErrorContains(t, err, "none.json does not exist")
}
