package trtllm

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// The bugs of other programs around an executor that belong to text and calls; the
// others are behaviours of every executor, in executortest.

// Per-token decode breaks UTF-8 and spaces: whatever the tokenizer and however tokens
// are spread over responses, chunks are whole characters and join to the text.
func TestPeersPerTokenDecode(t *testing.T) {
	texts := []string{
		"a😀b 👩‍👩‍👧‍👦 🇸🇪 e\u0301 ☕️", "今天天气很好,我们去公园。", "日本語のテキスト、カタカナ", "한국어 문장입니다", " leading space", "  two", " word word  word ",
		"trailing ", "नमस्ते दुनिया", "\n\n line\n", "« Ça va » – naïve café", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈",
	}
	random := rand.New(rand.NewPCG(1, 1))
	testdata := filepath.Join("..", "tokenizer", "testdata")
	for name, dir := range map[string]string{
		"bytes": byteTokenizerDir(t), "byte-level": filepath.Join(testdata, "hf_bbpe_llama3"),
		"sentencepiece": filepath.Join(testdata, "sp_bpe_bf"), "without prefix": filepath.Join(testdata, "sp_bpe_bf_noprefix"),
	} {
		t.Run(name, func(t *testing.T) {
			tok, err := tokenizer.Open(dir)
			require.NoError(t, err)
			x := &scripted{}
			e := scriptedEngineWith(t, x, tok)
			whole := 0
			for _, text := range texts {
				ids, err := tok.Encode(text, tokenizer.EncodeOptions{})
				require.NoError(t, err)
				want, err := tok.Decode(ids, tokenizer.DecodeOptions{SkipSpecialTokens: true})
				require.NoError(t, err)
				if want == text {
					whole++
				}
				for most := range 4 { // tokens in a response
					x.answer = func(executor.Request) ([]executor.Response, error) {
						return spread(ids, func() int { return 1 + random.IntN(most+1) }), nil
					}
					var chunks []string
					r := Request{InputIDs: []int32{1}, MaxTokens: 100, EndIDs: []int32{}}
					for chunk, err := range e.Stream(t.Context(), r) {
						require.NoError(t, err)
						require.True(t, utf8.ValidString(chunk.Text), "%q", chunk.Text)
						chunks = append(chunks, chunk.Text)
					}
					require.Equal(t, want, strings.Join(chunks, ""), "%q", chunks)
					response, err := e.Generate(t.Context(), r)
					require.NoError(t, err)
					require.Equal(t, want, response.Text)
				}
			}
			require.Greater(t, whole, 1, "texts that the tokenizer gives back as they were")
		})
	}
}

// spread makes responses of ids, each with as many as size says.
func spread(ids []int32, size func() int) []executor.Response {
	var all []executor.Response
	for len(ids) > 0 {
		n := min(len(ids), size())
		all = append(all, executor.Response{OutputIDs: ids[:n]})
		ids = ids[n:]
	}
	last := &all[len(all)-1]
	last.FinishReason, last.SequenceFinal, last.Final = executor.FinishLength, true, true
	return all
}

// slowSubmit is an executor whose Submit takes its time when everything has been said,
// for prompts that end with "slow".
type slowSubmit struct {
	*scripted
	entered, release chan struct{}
}

func (x *slowSubmit) Submit(r executor.Request) error {
	err := x.scripted.Submit(r)
	if r.InputIDs[len(r.InputIDs)-1] == 'w' {
		x.entered <- struct{}{}
		<-x.release
	}
	return err
}

// Lock held over enqueue: a Submit that takes its time blocks no other's responses,
// and its own are not lost though they come before it returns.
func TestPeersLockHeldOverEnqueue(t *testing.T) {
	x := &scripted{}
	slow := &slowSubmit{x, make(chan struct{}), make(chan struct{})}
	e := scriptedEngineOver(t, x, slow, openByteTokenizer(t))
	streamed := make(chan string)
	go func() {
		defer close(streamed)
		for chunk, err := range e.Stream(t.Context(), Request{Prompt: "a", MaxTokens: 9}) {
			if err != nil {
				t.Error(err)
			}
			streamed <- chunk.Text
		}
	}()
	x.waitSubmitted(t, 1)
	id := x.last(t).ClientID
	x.mu.Lock()
	x.answer = func(executor.Request) ([]executor.Response, error) {
		return final(tokens(0, executor.FinishLength, bytesOf("early")...)), nil
	}
	x.mu.Unlock()
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		response, err := e.Generate(t.Context(), Request{Prompt: "slow", MaxTokens: 9})
		if err != nil {
			done <- result{err: err}
			return
		}
		done <- result{text: response.Text}
	}()
	<-slow.entered // all its responses are there, and Submit has not returned
	for i := range 5 {
		text := fmt.Sprint(i)
		x.send(executor.Response{ClientID: id, OutputIDs: bytesOf(text)})
		require.Equal(t, text, <-streamed)
	}
	close(slow.release)
	require.Equal(t, result{text: "early"}, <-done)
	x.send(executor.Response{ClientID: id, FinishReason: executor.FinishLength, SequenceFinal: true, Final: true})
	for range streamed { // to its end
	}
	require.Empty(t, e.calls)
}
