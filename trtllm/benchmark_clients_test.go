//go:build cgo && linux && (amd64 || arm64)

package trtllm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchmarkClients is benchmarkOverhead with streams that go through HTTP: a server of
// events and its clients stand in the process of the engine, as they do in a program that
// serves a model.
func benchmarkClients(b *testing.B, r *benchmarkReport, e *timedEngine, rounds, tokens, clients int) {
	b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
		server := httptest.NewServer(eventServer(e, tokens))
		defer server.Close()
		var o overhead
		for round := range rounds {
			e.clock.start(true)
			eventClients(b, server, clients, uint64(round))
			o.add(e.clock.stop(), clients, tokens)
		}
		r.overhead(b, e.name, clients, "greedy, each stream read through HTTP", &o)
	})
}

// eventServer answers /SEED with the chunks of a stream, a line of JSON each.
func eventServer(e *timedEngine, tokens int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		seed, err := strconv.ParseUint(strings.TrimPrefix(q.URL.Path, "/"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for chunk, err := range e.Stream(q.Context(), Request{InputIDs: e.prompt(32, seed), MaxTokens: tokens, EndIDs: []int32{}}) {
			if err != nil {
				fmt.Fprintf(w, "error: %v\n\n", err)
				return
			}
			text, _ := json.Marshal(chunk.Text) // a string can be
			fmt.Fprintf(w, "data: %s\n\n", text)
			w.(http.Flusher).Flush()
		}
	})
}

// eventClients read so many streams at once to their ends.
func eventClients(b *testing.B, server *httptest.Server, clients int, seed uint64) {
	b.Helper()
	errs, bytes := make([]error, clients), make([]int, clients)
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			bytes[i], errs[i] = readEvents(b.Context(), server, seed<<32|uint64(i))
		})
	}
	group.Wait()
	require.NoError(b, errors.Join(errs...))
	for _, n := range bytes {
		require.Positive(b, n, "there is no text to measure")
	}
}

// readEvents gives the bytes of a stream's text.
func readEvents(ctx context.Context, server *httptest.Server, seed uint64) (int, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/%d", server.URL, seed), nil)
	if err != nil {
		return 0, err
	}
	answer, err := server.Client().Do(q)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	bytes := 0
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		if !isData {
			if lines.Text() != "" {
				return bytes, errors.New(lines.Text())
			}
			continue
		}
		var text string
		if err := json.Unmarshal([]byte(data), &text); err != nil {
			return bytes, err
		}
		bytes += len(text)
	}
	return bytes, lines.Err()
}
