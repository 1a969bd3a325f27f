package evaluation

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/trtgo/trtgo/tokenizer"
)

// writtenTokens is how many tokens upstream's method lets the model write.
const writtenTokens = 2

// MMLUOptions say how the questions are asked.
type MMLUOptions struct {
	Tokenizer Tokenizer
	// Generate continues a prompt greedily by two tokens, Score scores the letters. The method whose function is nil is left out.
	Generate Generator
	Score    Scorer
	// NTrain is how many questions with their answers stand before each.
	NTrain int
	// MaxQuestions bounds the questions of a subject, the first ones.
	MaxQuestions int
	// AddSpecialTokens is for prompts of upstream's method, AddBOSToken for those of the other one.
	AddSpecialTokens, AddBOSToken bool
	// MaxInputLen and MaxSeqLen are the engine's. What is too long has fewer shots, or loses its beginning, as the methods do it.
	MaxInputLen, MaxSeqLen int
	Concurrency            int // questions at once, at least 1
	// Journal keeps answers for a later run to go on from; Engine says what else they depend on. See PerplexityOptions.
	Journal  string
	Engine   []Setting
	Progress func(done, total int)
}

// Answer is what a model answered to a question. It is a line of the journal too.
type Answer struct {
	Subject string `json:"subject"`
	Number  int    `json:"question"` // from 0
	Right   string `json:"right"`    // the letter

	// Of upstream's method: how many shots fitted, what the model wrote, and whether that begins with the letter.
	Shots   int    `json:"shots,omitempty"`
	Written string `json:"written,omitempty"`
	Correct bool   `json:"correct"`

	// Of the other one: the log-probs of the four letters, and the one that is the likeliest.
	LogProbs      []float64 `json:"log_probs,omitempty"`
	Likeliest     string    `json:"likeliest,omitempty"`
	LikelyCorrect bool      `json:"likely_correct"`
}

// EvaluateMMLU asks all questions by two methods.
//
// Upstream's is that of TensorRT-LLM's mmlu.py: the model writes two tokens, and is right if their text, stripped, begins with
// the letter. Shots are left out, the last ones first, until the prompt fits the engine. The other is lm-evaluation-harness's: the
// answer is the letter with the largest log-prob after the prompt.
//
// With an error the result has the answers until then. Errors wrap ErrOptions, ErrNoSamples or ErrOtherRun, or are those of the
// functions in the options and of the file system.
func EvaluateMMLU(ctx context.Context, subjects []MMLUSubject, o MMLUOptions) (MMLUResult, error) {
	m := mmlu{o: o, subjects: subjects}
	if err := m.check(); err != nil {
		return MMLUResult{}, err
	}
	journal, err := openJournal(o.Journal, "mmlu", m.settings())
	if err != nil {
		return MMLUResult{}, err
	}
	m.journal = journal
	if err := m.run(ctx); err != nil {
		_ = journal.close() // every line is written
		return m.result(), err
	}
	return m.result(), journal.complete()
}

// mmlu is an evaluation under way.
type mmlu struct {
	o        MMLUOptions
	subjects []MMLUSubject

	mu      sync.Mutex // guards what follows
	journal *journal
	answers [][]*Answer // of each question that is asked; nil until it is answered
	done    int
	total   int
}

// check refuses what cannot be asked, and makes room for the answers.
func (m *mmlu) check() error {
	switch o := &m.o; {
	case o.NTrain < 0:
		return fmt.Errorf("%w: ntrain is %d, at least 0 is needed", ErrOptions, o.NTrain)
	case o.MaxQuestions < 1:
		return fmt.Errorf("%w: max_ite is %d, at least 1 is needed", ErrOptions, o.MaxQuestions)
	case o.Concurrency < 1:
		return fmt.Errorf("%w: concurrency is %d, at least 1 is needed", ErrOptions, o.Concurrency)
	case o.Generate == nil && o.Score == nil:
		return fmt.Errorf("%w: no method is chosen", ErrOptions)
	}
	for i := range m.subjects {
		s := &m.subjects[i]
		if len(s.Dev) < m.o.NTrain {
			return fmt.Errorf("%w: ntrain is %d, but %s has %d questions in dev", ErrOptions, m.o.NTrain, s.Name, len(s.Dev))
		}
		n := min(len(s.Test), m.o.MaxQuestions)
		m.answers = append(m.answers, make([]*Answer, n))
		m.total += n
	}
	if m.total == 0 {
		return fmt.Errorf("%w: there is no question", ErrNoSamples)
	}
	return nil
}

// settings are what an answer depends on.
func (m *mmlu) settings() []Setting {
	content, err := json.Marshal(m.subjects)
	if err != nil {
		panic("evaluation: questions are strings: " + err.Error())
	}
	return append([]Setting{
		{"ntrain", strconv.Itoa(m.o.NTrain)}, {"max_ite", strconv.Itoa(m.o.MaxQuestions)},
		{"add_special_tokens", strconv.FormatBool(m.o.AddSpecialTokens)}, {"add_bos_token", strconv.FormatBool(m.o.AddBOSToken)},
		{"method generate", strconv.FormatBool(m.o.Generate != nil)}, {"method likelihood", strconv.FormatBool(m.o.Score != nil)},
		{"max_input_len", strconv.Itoa(m.o.MaxInputLen)}, {"max_seq_len", strconv.Itoa(m.o.MaxSeqLen)},
		{"SHA-256 of the questions", digest(content)},
	}, m.o.Engine...)
}

// run asks what no earlier run has asked, subject by subject: questions of one share the beginning of their prompts.
func (m *mmlu) run(ctx context.Context) error {
	if err := m.takeEarlier(); err != nil {
		return err
	}
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(m.o.Concurrency)
	for i := range m.subjects {
		for n := range m.answers[i] {
			if each.Err() != nil {
				break
			}
			if !m.answered(i, n) {
				group.Go(func() error { return m.ask(each, i, n) })
			}
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (m *mmlu) answered(subject, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answers[subject][n] != nil
}

// takeEarlier takes the answers of the journal.
func (m *mmlu) takeEarlier() error {
	if m.journal == nil {
		return nil
	}
	indices := map[string]int{}
	for i := range m.subjects {
		indices[m.subjects[i].Name] = i
	}
	for line, text := range m.journal.records {
		var a Answer
		err := json.Unmarshal(text, &a)
		i, known := indices[a.Subject]
		if err != nil || !known || a.Number < 0 || a.Number >= len(m.answers[i]) || m.o.Score != nil && len(a.LogProbs) != len(letters) {
			return fmt.Errorf("%s, line %d is no answer to these questions: remove the file to begin anew", m.journal.path, line+2)
		}
		m.take(i, &a)
	}
	return nil
}

// take notes an answer. Nobody else does so at the same time.
func (m *mmlu) take(subject int, a *Answer) {
	if m.answers[subject][a.Number] == nil {
		m.done++
	}
	m.answers[subject][a.Number] = a
	if m.o.Progress != nil {
		m.o.Progress(m.done, m.total)
	}
}

// ask asks one question by each method.
func (m *mmlu) ask(ctx context.Context, subject, n int) error {
	s := &m.subjects[subject]
	q := &s.Test[n]
	a := &Answer{Subject: s.Name, Number: n, Right: letters[q.Answer : q.Answer+1]}
	for _, method := range []func(context.Context, *MMLUSubject, *Question, *Answer) error{m.letWrite, m.scoreLetters} {
		if err := method(ctx, s, q, a); err != nil {
			return fmt.Errorf("question %d of %s: %w", n+1, s.Name, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.journal.add(a); err != nil {
		return err
	}
	m.take(subject, a)
	return nil
}

// letWrite is upstream's method.
func (m *mmlu) letWrite(ctx context.Context, s *MMLUSubject, q *Question, a *Answer) error {
	if m.o.Generate == nil {
		return nil
	}
	ids, shots, err := m.fitting(s, q)
	if err != nil {
		return err
	}
	outputs, err := m.o.Generate(ctx, [][]int32{ids}, func(int, []int32) {})
	if err != nil {
		return err
	}
	if len(outputs) != 1 || len(outputs[0]) != 1 {
		return fmt.Errorf("%d prompts were answered where one was asked", len(outputs))
	}
	a.Shots = shots
	a.Written, err = m.o.Tokenizer.Decode(outputs[0][0], tokenizer.DecodeOptions{SkipSpecialTokens: true})
	a.Correct = strings.HasPrefix(strings.TrimSpace(a.Written), a.Right)
	return err
}

// scoreLetters is lm-evaluation-harness's method. The first letter's prompt leaves its keys and values for the others.
func (m *mmlu) scoreLetters(ctx context.Context, s *MMLUSubject, q *Question, a *Answer) error {
	if m.o.Score == nil {
		return nil
	}
	all, from, err := m.continuations(s, q)
	if err != nil {
		return err
	}
	best := 0
	for i, ids := range all {
		logProbs, err := m.o.Score(ctx, ids, from[i])
		if err != nil {
			return err
		}
		sum := 0.0
		for _, l := range logProbs {
			sum += float64(l)
		}
		if !isFinite(sum) || len(logProbs) != len(ids)-from[i] {
			return fmt.Errorf("the %d log-probs of letter %c add up to %v", len(logProbs), letters[i], sum)
		}
		a.LogProbs = append(a.LogProbs, sum)
		if sum > a.LogProbs[best] {
			best = i
		}
	}
	a.Likeliest = letters[best : best+1]
	a.LikelyCorrect = best == q.Answer
	return nil
}
