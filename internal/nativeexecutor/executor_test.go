package nativeexecutor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
)

func TestStreamsAndGathers(t *testing.T) {
	for _, streaming := range []bool{true, false} {
		f := newFake()
		f.enqueued = func(r native.Request, id uint64) error { // all before Enqueue returns
			f.push(tokens(r, id, 3), tokens(r, id, 4, 5), last(r, id, executor.FinishLength))
			return nil
		}
		e := open(t, f, options())
		require.NoError(t, e.Submit(executor.Request{ClientID: 9, InputIDs: []int32{1}, MaxTokens: 3, Streaming: streaming}))
		list := collect(t, e, 1)
		want := []executor.Response{{ClientID: 9, OutputIDs: []int32{3, 4, 5}, FinishReason: executor.FinishLength, SequenceFinal: true, Final: true}}
		if streaming {
			want = []executor.Response{
				{ClientID: 9, OutputIDs: []int32{3}},
				{ClientID: 9, OutputIDs: []int32{4, 5}},
				{ClientID: 9, FinishReason: executor.FinishLength, SequenceFinal: true, Final: true},
			}
		}
		require.Equal(t, want, list)
		stats := e.Stats()
		require.Equal(t, executor.Stats{
			ContextTokens: 1, GeneratedTokens: 3, FinishedRequests: 1, KVBlocksTotal: 10, TokensPerBlock: 4,
			KVCache: executor.KVCacheStats{MaxNumBlocks: 10, FreeNumBlocks: 10, TokensPerBlock: 4},
		}, stats, "nothing of the self-check is counted")
		require.NoError(t, e.Close())
		require.Equal(t, []string{"drain", "shutdown", "close"}, f.calls)
	}
}
