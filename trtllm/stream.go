package trtllm

import (
	"context"
	"iter"
	"strings"
	"sync"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// Stream generates and yields what is new after every step. An error is the last
// thing that it yields. Leaving the loop, or ctx's end, cancels the request.
func (e *Engine) Stream(ctx context.Context, r Request) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		call, err := e.submit(ctx, &r)
		if err != nil {
			yield(Chunk{}, err)
			return
		}
		defer e.release(call)
		for {
			response, err := call.next(ctx)
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			chunk, done, err := call.chunk(response)
			if err != nil {
				yield(Chunk{}, err)
				return
			}
			if !chunk.empty() && !yield(chunk, nil) {
				return
			}
			if done {
				return
			}
		}
	}
}

// Generate generates and returns when everything is there. When ctx ends first,
// the error wraps ctx's, and the response holds what there was by then.
func (e *Engine) Generate(ctx context.Context, r Request) (*Response, error) {
	call, err := e.submit(ctx, &r)
	if err != nil {
		return nil, err
	}
	defer e.release(call)
	response := &Response{InputIDs: call.request.InputIDs, Sequences: make([]Sequence, len(call.sequences))}
	for {
		part, err := call.next(ctx)
		if err != nil {
			response.Sequence = response.Sequences[0]
			return response, err
		}
		response.ContextLogits = append(response.ContextLogits, part.ContextLogits...)
		logits := part.Logits
		chunk, done, err := call.chunk(part)
		if err != nil {
			return nil, err
		}
		response.Sequences[chunk.Sequence].add(&chunk, logits)
		if done {
			response.Sequence = response.Sequences[0]
			return response, nil
		}
	}
}

func (s *Sequence) add(c *Chunk, logits [][]float32) {
	s.Text += c.Text
	s.OutputIDs = append(s.OutputIDs, c.OutputIDs...)
	s.LogProbs = append(s.LogProbs, c.LogProbs...)
	if len(c.OutputIDs) > 0 {
		s.CumLogProb = c.CumLogProb
		s.Logits = append(s.Logits, logits[:min(len(logits), len(c.OutputIDs))]...)
	}
	if c.FinishReason != FinishNone {
		s.FinishReason, s.Timing = c.FinishReason, c.Timing
	}
}

func (c *Chunk) empty() bool {
	return c.Text == "" && len(c.OutputIDs) == 0 && c.FinishReason == FinishNone
}

// call is one request on its way: a queue that the pump fills and the caller empties.
type call struct {
	id        uint64
	request   executor.Request
	sequences []sequenceText
	unended   int

	mu    sync.Mutex
	queue []executor.Response
	ready chan struct{} // holds one token while the queue has something
	ended <-chan struct{}
	why   func() error
}

// sequenceText decodes one sequence and looks for stop words in it.
type sequenceText struct {
	decoder   *tokenizer.Decoder
	stopWords []string
	minTokens int
	tail      string // enough of the text to find a word that spans chunks
	tokens    int
	ended     bool
}

func (c *call) push(r executor.Response) {
	c.mu.Lock()
	c.queue = append(c.queue, r)
	c.mu.Unlock()
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

func (c *call) pop() (executor.Response, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return executor.Response{}, false
	}
	r := c.queue[0]
	c.queue = c.queue[1:]
	return r, true
}

// next waits for the next response.
func (c *call) next(ctx context.Context) (executor.Response, error) {
	for {
		if ctx.Err() != nil {
			return executor.Response{}, context.Cause(ctx)
		}
		if r, ok := c.pop(); ok {
			return r, r.Err
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
		case <-c.ended:
			if r, ok := c.pop(); ok {
				return r, r.Err
			}
			return executor.Response{}, c.why()
		}
	}
}

// chunk turns a response into a chunk; done is true when the request has ended.
// What comes for a sequence after its stop word is dropped.
func (c *call) chunk(r executor.Response) (chunk Chunk, done bool, err error) {
	s := &c.sequences[r.Sequence]
	chunk = Chunk{Sequence: r.Sequence, CumLogProb: r.CumLogProb}
	if s.ended {
		return chunk, c.unended == 0, nil
	}
	if r.FinishReason == FinishCancelled {
		// Nobody but Close cancels what this call still waits for.
		return chunk, true, ErrClosed
	}
	chunk.OutputIDs, chunk.LogProbs = r.OutputIDs, r.LogProbs
	chunk.FinishReason, chunk.Timing = r.FinishReason, r.Timing
	stopped := false
	chunk.Text, stopped, err = s.decode(r.OutputIDs)
	if err != nil {
		return chunk, true, err
	}
	if stopped {
		chunk.FinishReason = FinishStop
	}
	if chunk.FinishReason != FinishNone {
		chunk.Text += s.flush()
		s.ended = true
		c.unended--
	}
	return chunk, c.unended == 0, nil
}

func (s *sequenceText) decode(ids []int32) (text string, stopped bool, err error) {
	if s.decoder == nil {
		return "", false, nil
	}
	for _, id := range ids {
		piece, err := s.decoder.Add(id)
		if err != nil {
			return text, false, err
		}
		text += piece
		s.tokens++
	}
	return text, s.stops(text), nil
}

// stops tells whether a stop word has come with the new text.
func (s *sequenceText) stops(text string) bool {
	if len(s.stopWords) == 0 {
		return false
	}
	longest := 0
	window := s.tail + text
	found := false
	for _, word := range s.stopWords {
		longest = max(longest, len(word))
		found = found || word != "" && strings.Contains(window, word)
	}
	s.tail = window[min(max(len(window)-longest+1, 0), len(window)):]
	return found && s.tokens >= s.minTokens
}

func (s *sequenceText) flush() string {
	if s.decoder == nil {
		return ""
	}
	return s.decoder.Flush()
}
