package trtllm

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/executor/executortest"
	"github.com/trtgo/trtgo/internal/inflight"
	"github.com/trtgo/trtgo/tokenizer"
)

// The tokenizer of the tests has a token for each byte, ids 0 to 255, and these.
const (
	idHello = 256 // "Hello"
	idEnd   = 257 // "<end>", the tokenizer's end token
	idBegin = 258 // "<begin>", put before a text
	// 259 has no token: models have more rows than tokenizers have tokens.
	testVocabSize = 260
)

// byteTokenizerDir writes the tokenizer's files to a directory.
func byteTokenizerDir(t *testing.T) string {
	t.Helper()
	vocab := map[string]int{"Hello": idHello}
	next := rune(256)
	for b := range 256 { // GPT-2's names of bytes
		name := rune(b)
		if b < 33 || b > 126 && b < 161 || b == 173 {
			name, next = next, next+1
		}
		vocab[string(name)] = b
	}
	beginThenText := []any{
		map[string]any{"SpecialToken": map[string]any{"id": "<begin>", "type_id": 0}},
		map[string]any{"Sequence": map[string]any{"id": "A", "type_id": 0}},
	}
	model := map[string]any{
		"version": "1.0",
		"added_tokens": []any{
			map[string]any{"id": idEnd, "content": "<end>", "special": true, "normalized": false},
			map[string]any{"id": idBegin, "content": "<begin>", "special": true, "normalized": false},
		},
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
		"decoder":       map[string]any{"type": "ByteLevel"},
		"post_processor": map[string]any{
			"type": "TemplateProcessing", "single": beginThenText, "pair": beginThenText,
			"special_tokens": map[string]any{"<begin>": map[string]any{"id": "<begin>", "ids": []int{idBegin}, "tokens": []string{"<begin>"}}},
		},
		"model": map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{}, "ignore_merges": true},
	}
	config := map[string]any{
		"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>", "bos_token": "<begin>",
		"chat_template": "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}",
	}
	dir := t.TempDir()
	for name, v := range map[string]any{"tokenizer.json": model, "tokenizer_config.json": config} {
		data, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	return dir
}

// SharedTestDir holds what the tests of the package share. It is removed at the end.
var SharedTestDir string

func TestMain(m *testing.M) {
	var err error
	if SharedTestDir, err = os.MkdirTemp("", "trtllm"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		if err := os.RemoveAll(SharedTestDir); err != nil {
			panic(err)
		}
		os.Exit(status)
	}))
}

// openByteTokenizer gives the tests' tokenizer, which is opened once.
func openByteTokenizer(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	byteTokenizer.Lock()
	defer byteTokenizer.Unlock()
	if byteTokenizer.Tokenizer == nil {
		var err error
		byteTokenizer.Tokenizer, err = tokenizer.Open(byteTokenizerDir(t))
		require.NoError(t, err)
	}
	return byteTokenizer.Tokenizer
}

var byteTokenizer struct {
	sync.Mutex
	*tokenizer.Tokenizer
}

// toyEngine opens an engine over the toy model and the byte tokenizer.
func toyEngine(t *testing.T) (*Engine, *executortest.Gate) {
	t.Helper()
	return toyEngineWith(t, openByteTokenizer(t))
}

func toyEngineWith(t *testing.T, tok *tokenizer.Tokenizer, list ...Option) (*Engine, *executortest.Gate) {
	t.Helper()
	limits := executortest.ToyLimits()
	limits.VocabSize = testVocabSize
	gate := executortest.NewGate(executortest.NewToy(limits))
	x, err := inflight.New(gate, optionsOf(list...).inflight(150))
	require.NoError(t, err)
	e := newEngine(&cancelWatch{x, make(chan struct{}, 1)}, Config{
		VocabSize: limits.VocabSize, MaxInputLen: 150, MaxSeqLen: limits.MaxSeqLen, KVCacheTokens: limits.NumBlocks * limits.BlockSize,
	}, tok, ErrNoTokenizer, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		gate.Release()
		require.NoError(t, e.Close())
	})
	return e, gate
}

// say makes the model generate the given ids, one after the other, whatever it is
// asked; then its own.
func say(gate *executortest.Gate, ids ...int32) {
	gate.After(func(out *executor.StepResult) {
		for i := range out.Rows {
			if len(ids) > 0 && len(out.Rows[i].Candidates) > 0 {
				out.Rows[i].Candidates[0].Token = ids[0]
				ids = ids[1:]
			}
		}
	})
}

// bytesOf are the ids of the bytes of text.
func bytesOf(text string) []int32 {
	ids := make([]int32, len(text))
	for i := range ids {
		ids[i] = int32(text[i])
	}
	return ids
}

// waitCancelled waits until the engine's only request has been cancelled at its
// executor; the executor has no way to ask, so a wrapper tells.
func waitCancelled(e *Engine) { <-e.executor.(*cancelWatch).cancelled }

// cancelWatch tells when Cancel is called.
type cancelWatch struct {
	executor.Executor
	cancelled chan struct{}
}

func (w *cancelWatch) Cancel(id uint64) {
	w.Executor.Cancel(id)
	select {
	case w.cancelled <- struct{}{}:
	default:
	}
}
