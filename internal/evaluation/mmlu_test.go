package evaluation_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/dataset"
	"github.com/trtgo/trtgo/internal/evaluation"
)

// student answers question n of a subject by the letter that the question's text ends with, and keeps the prompts that it saw.
type student struct {
	t       testing.TB
	mu      sync.Mutex
	prompts []string // of upstream's method
	scored  []string // of the other one, with the letter
	fail    func() error
}

// wantedLetter finds "say X" in the last question of a prompt.
func wantedLetter(prompt string) string {
	return prompt[strings.LastIndex(prompt, "say ")+4:][:1]
}

func (s *student) generate(_ context.Context, prompts [][]int32, _ func(int, []int32)) ([][][]int32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(); err != nil {
			return nil, err
		}
	}
	require.Len(s.t, prompts, 1)
	text := textOf(s.t, prompts[0])
	s.prompts = append(s.prompts, text)
	return [][][]int32{{idsOf(s.t, " "+wantedLetter(text))}}, nil
}

func (s *student) score(_ context.Context, ids []int32, from int) ([]float32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := textOf(s.t, ids)
	s.scored = append(s.scored, text)
	list := make([]float32, len(ids)-from)
	for i := range list {
		list[i] = -2
		if textOf(s.t, ids[from+i:from+i+1]) == wantedLetter(text) {
			list[i] = -1
		}
	}
	return list, nil
}

// question asks to say one letter; another may be right.
func question(say, right int) evaluation.Question {
	return evaluation.Question{Text: fmt.Sprintf(" Please say %c. ", "ABCD"[say]), Choices: [4]string{"one", "two", "three", "four"}, Answer: right}
}

func subject(name string, says ...[2]int) evaluation.MMLUSubject {
	s := evaluation.MMLUSubject{Name: name, Dev: []evaluation.Question{question(0, 1), question(2, 3)}}
	for _, say := range says {
		s.Test = append(s.Test, question(say[0], say[1]))
	}
	return s
}

func mmluOptions(s *student) evaluation.MMLUOptions {
	return evaluation.MMLUOptions{
		Tokenizer: byteTokenizer{prefix: []int32{bosID}}, Generate: s.generate, Score: s.score, NTrain: 2, MaxQuestions: 100, AddSpecialTokens: true,
		MaxInputLen: 1000, MaxSeqLen: 1000, Concurrency: 1, Engine: []evaluation.Setting{{Name: "engine", Value: "e"}},
	}
}

// The prompts of both methods, letter for letter.
func TestMMLUPrompts(t *testing.T) {
	s := &student{t: t}
	result, err := evaluation.EvaluateMMLU(t.Context(), []evaluation.MMLUSubject{subject("moral_disputes", [2]int{3, 3})}, mmluOptions(s))
	require.NoError(t, err)
	const choices = "A. one\nB. two\nC. three\nD. four\nAnswer:"
	require.Equal(t, []string{"<s>The following are multiple choice questions (with answers) about  moral disputes.\n\n" +
		" Please say A. \n" + choices + " B\n\n" + " Please say C. \n" + choices + " D\n\n" + " Please say D. \n" + choices}, s.prompts)
	context := "The following are multiple choice questions (with answers) about moral disputes.\n\n" +
		"Please say A.\n" + choices + " B\n\n" + "Please say C.\n" + choices + " D\n\n" + "Please say D.\n" + choices
	require.Equal(t, []string{context + " A", context + " B", context + " C", context + " D"}, s.scored)
	require.Equal(t, []evaluation.Answer{{
		Subject: "moral_disputes", Right: "D", Shots: 2, Written: " D", Correct: true,
		LogProbs: []float64{-4, -4, -4, -3}, Likeliest: "D", LikelyCorrect: true,
	}}, result.Answers)
}

// Scores are weighted by question, in upstream's order and words.
func TestMMLUScores(t *testing.T) {
	wrong, right := [2]int{0, 1}, [2]int{2, 2}
	subjects := []evaluation.MMLUSubject{
		subject("abstract_algebra", right, wrong, wrong), subject("anatomy", right), subject("cooking", wrong), subject("high_school_statistics", right),
	}
	s := &student{t: t}
	o := mmluOptions(s)
	o.Concurrency = 4
	result, err := evaluation.EvaluateMMLU(t.Context(), subjects, o)
	require.NoError(t, err)
	require.Equal(t, []string{"cooking"}, result.Unclassified)
	var text strings.Builder
	require.NoError(t, result.WriteText(&text))
	lines := func(words string) string {
		return strings.ReplaceAll("W 0.333 - abstract_algebra\nW 1.000 - anatomy\nW 0.000 - cooking\nW 1.000 - high_school_statistics\n"+
			"W 50.00 - math\nW 100.00 - health\nW 50.00 - STEM\nW 100.00 - other (business, health, misc.)\n", "W", words)
	}
	require.Equal(t, lines("Average accuracy")+"MMLU weighted average accuracy: 50.00\n"+
		lines("Log-likelihood accuracy")+"MMLU log-likelihood accuracy: 50.00 ± 22.36\n", text.String())
	require.NoError(t, result.CheckAccuracy(50))
	err = result.CheckAccuracy(50.1)
	require.ErrorIs(t, err, evaluation.ErrAccuracy)
	require.ErrorContains(t, err, "[FAILED] the accuracy is 50.0, at least 50.1 is expected")

	// One method alone, and fewer questions.
	o.Score, o.MaxQuestions = nil, 1
	result, err = evaluation.EvaluateMMLU(t.Context(), subjects, o)
	require.NoError(t, err)
	require.Equal(t, 4, result.Total.Questions)
	require.Nil(t, result.Total.LikelihoodAccuracy)
	require.Zero(t, result.LikelihoodStderr())
	o.Generate, o.Score = nil, s.score
	result, err = evaluation.EvaluateMMLU(t.Context(), subjects, o)
	require.NoError(t, err)
	require.Nil(t, result.Total.Accuracy)
	require.NoError(t, result.CheckAccuracy(75))
	text.Reset()
	require.NoError(t, result.WriteText(&text))
	require.NotContains(t, text.String(), "verage accuracy")
}

// A prompt that is too long has fewer shots by the one method, and loses its beginning by the other.
func TestMMLUPromptsThatDoNotFit(t *testing.T) {
	all := []evaluation.MMLUSubject{subject("anatomy", [2]int{1, 1})}
	s := &student{t: t}
	o := mmluOptions(s)
	_, err := evaluation.EvaluateMMLU(t.Context(), all, o)
	require.NoError(t, err)
	whole, scored := len(idsOf(t, s.prompts[0])), len(idsOf(t, s.scored[0]))
	for _, c := range []struct{ input, sequence, shots int }{
		{whole, whole + 2, 2}, {whole - 1, whole + 2, 1}, {whole, whole + 1, 1}, {whole - 50, 1000, 1}, {whole - 100, 1000, 0},
	} {
		s := &student{t: t}
		o := mmluOptions(s)
		o.MaxInputLen, o.MaxSeqLen = c.input, c.sequence
		result, err := evaluation.EvaluateMMLU(t.Context(), all, o)
		require.NoError(t, err, "%+v", c)
		require.Equal(t, c.shots, result.Answers[0].Shots, "%+v", c)
		require.Equal(t, c.shots, strings.Count(s.prompts[0], "Answer:")-1)
		most := min(c.input, c.sequence-1, scored)
		require.Len(t, idsOf(t, s.scored[0]), most)
		require.True(t, strings.HasSuffix(s.scored[3], "Answer: D"))
	}
	o.MaxInputLen = 60
	_, err = evaluation.EvaluateMMLU(t.Context(), all, o)
	require.ErrorContains(t, err, "question 1 of anatomy: it has ")
	require.ErrorContains(t, err, "tokens without any other beside it, the engine takes 60 and 2 more: build it with a larger max_seq_len and max_input_len")
}

func TestMMLUGoesOn(t *testing.T) {
	subjects := []evaluation.MMLUSubject{subject("anatomy", [2]int{1, 1}, [2]int{0, 1}, [2]int{2, 2}), subject("virology", [2]int{0, 0})}
	whole, err := evaluation.EvaluateMMLU(t.Context(), subjects, mmluOptions(&student{t: t}))
	require.NoError(t, err)
	broken, calls := errors.New("power cut"), 0
	s := &student{t: t, fail: func() error {
		if calls++; calls > 2 {
			return broken
		}
		return nil
	}}
	o := mmluOptions(s)
	o.Journal = filepath.Join(t.TempDir(), "answers.jsonl")
	part, err := evaluation.EvaluateMMLU(t.Context(), subjects, o)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "question 3 of anatomy")
	require.Len(t, part.Answers, 2)
	require.Equal(t, 4, part.Wanted)

	s = &student{t: t}
	o.Generate, o.Score = s.generate, s.score
	result, err := evaluation.EvaluateMMLU(t.Context(), subjects, o)
	require.NoError(t, err)
	require.Equal(t, whole, result)
	require.Len(t, s.prompts, 2)
	require.NoFileExists(t, o.Journal+".partial")

	for says, change := range map[string]func(){
		"was begun with ntrain 2, now it is 1":                      func() { o.NTrain = 1 },
		"was begun with method likelihood true, now it is false":    func() { o.NTrain, o.Score = 2, nil },
		"was begun with SHA-256 of the questions ":                  func() { o.Score, subjects[0].Test[0].Answer = s.score, 2 },
		"was begun with engine e, now it is f: run with the former": func() { subjects[0].Test[0].Answer, o.Engine[0].Value = 1, "f" },
	} {
		o.NTrain, o.Score, subjects[0].Test[0].Answer, o.Engine = 2, s.score, 1, []evaluation.Setting{{Name: "engine", Value: "e"}}
		change()
		_, err := evaluation.EvaluateMMLU(t.Context(), subjects, o)
		require.ErrorIs(t, err, evaluation.ErrOtherRun)
		require.ErrorContains(t, err, says)
	}
	o.Engine = []evaluation.Setting{{Name: "engine", Value: "e"}}
	content, err := os.ReadFile(o.Journal)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(o.Journal, append(content, `{"subject":"anatomy","question":3}`+"\n"...), 0o600))
	o.NTrain, o.Score, subjects[0].Test[0].Answer = 2, s.score, 1
	_, err = evaluation.EvaluateMMLU(t.Context(), subjects, o)
	require.ErrorContains(t, err, "line 6 is no answer to these questions: remove the file to begin anew")
}

func TestBadMMLUOptions(t *testing.T) {
	for says, change := range map[string]func(*evaluation.MMLUOptions){
		"ntrain is -1": func(o *evaluation.MMLUOptions) { o.NTrain = -1 },
		"ntrain is 3, but anatomy has 2 questions": func(o *evaluation.MMLUOptions) { o.NTrain = 3 },
		"max_ite is 0":        func(o *evaluation.MMLUOptions) { o.MaxQuestions = 0 },
		"concurrency is 0":    func(o *evaluation.MMLUOptions) { o.Concurrency = 0 },
		"no method is chosen": func(o *evaluation.MMLUOptions) { o.Generate, o.Score = nil, nil },
	} {
		o := mmluOptions(&student{t: t})
		change(&o)
		_, err := evaluation.EvaluateMMLU(t.Context(), []evaluation.MMLUSubject{subject("anatomy", [2]int{0, 0})}, o)
		require.ErrorIs(t, err, evaluation.ErrOptions, says)
		require.ErrorContains(t, err, says)
	}
	_, err := evaluation.EvaluateMMLU(t.Context(), nil, mmluOptions(&student{t: t}))
	require.ErrorIs(t, err, evaluation.ErrNoSamples)
}

// hubRow is a row of the hub's cais/mmlu.
type hubRow struct {
	Question string   `parquet:"question"`
	Subject  string   `parquet:"subject"`
	Choices  []string `parquet:"choices,list"`
	Answer   int64    `parquet:"answer"`
}

func writeHub(t *testing.T, path string, rows ...hubRow) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, parquet.WriteFile(path, rows))
}

func TestReadMMLU(t *testing.T) {
	fromCSV, err := evaluation.ReadMMLU("testdata/mmlu")
	require.NoError(t, err)
	require.Len(t, fromCSV, 3)
	names := []string{"elementary_mathematics", "high_school_geography", "miscellaneous"}
	dir := t.TempDir()
	var dev, test []hubRow
	for i, s := range fromCSV {
		require.Equal(t, names[i], s.Name)
		require.Len(t, s.Dev, 5)
		require.Len(t, s.Test, 6)
		for j, q := range s.Dev {
			dev = append(dev, hubRow{q.Text, s.Name, q.Choices[:], int64(q.Answer)})
			test = append(test, hubRow{s.Test[j].Text, s.Name, s.Test[j].Choices[:], int64(s.Test[j].Answer)})
		}
		last := s.Test[5]
		test = append(test, hubRow{last.Text, s.Name, last.Choices[:], int64(last.Answer)})
	}
	require.Contains(t, fromCSV[2].Test[0].Text, " Here is a list, \"of words\":\nwhich of them is a ")
	for _, place := range []string{"all", ".", "data"} {
		root := filepath.Join(dir, place+"-")
		writeHub(t, filepath.Join(root, place, "dev-00000-of-00001.parquet"), dev...)
		writeHub(t, filepath.Join(root, place, "test-00000-of-00002.parquet"), test[:7]...)
		writeHub(t, filepath.Join(root, place, "test-00001-of-00002.parquet"), test[7:]...)
		fromHub, err := evaluation.ReadMMLU(root)
		require.NoError(t, err)
		require.Equal(t, fromCSV, fromHub, place)
	}
	for i, name := range names { // a directory for each subject
		writeHub(t, filepath.Join(dir, "each", name, "dev-00000-of-00001.parquet"), dev[5*i:5*i+5]...)
		writeHub(t, filepath.Join(dir, "each", name, "test-00000-of-00001.parquet"), test[6*i:6*i+6]...)
	}
	fromHub, err := evaluation.ReadMMLU(filepath.Join(dir, "each"))
	require.NoError(t, err)
	require.Equal(t, fromCSV, fromHub)
}

func TestBadMMLUFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := evaluation.ReadMMLU(dir)
	require.ErrorIs(t, err, dataset.ErrFormat)
	require.ErrorContains(t, err, "has neither test/SUBJECT_test.csv")
	_, err = evaluation.ReadMMLU(filepath.Join(dir, "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
	path := filepath.Join(dir, "test", "anatomy_test.csv")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o755))
	for content, says := range map[string]string{
		"q,a,b,c,d,E\n":            `anatomy_test.csv, line 1: the answer is "E" where A, B, C or D should be`,
		"q,a,b,c,d,A\nq,a,b,c,A\n": "anatomy_test.csv, line 2",
		"q,a,b,c,d,\n":             `the answer is "" where`,
		"q,a,b,c,d,BC\n":           `the answer is "BC" where`,
		"q,a,\xff,c,d,B\n":         "not valid UTF-8",
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err = evaluation.ReadMMLU(dir)
		require.ErrorIs(t, err, dataset.ErrFormat, content)
		require.ErrorContains(t, err, says)
	}
	require.NoError(t, os.WriteFile(path, []byte("q,a,b,c,d,A\n"), 0o600))
	subjects, err := evaluation.ReadMMLU(dir)
	require.NoError(t, err, "without shots dev is not needed")
	require.Empty(t, subjects[0].Dev)
	for says, row := range map[string]hubRow{
		"the question has 3 choices where 4 should be": {"q", "anatomy", []string{"a", "b", "c"}, 0},
		`the answer is "4" where 0, 1, 2 or 3 should`:  {"q", "anatomy", []string{"a", "b", "c", "d"}, 4},
		`the answer is "-1" where 0, 1, 2 or 3`:        {"q", "anatomy", []string{"a", "b", "c", "d"}, -1},
	} {
		hub := t.TempDir()
		writeHub(t, filepath.Join(hub, "test-0.parquet"), row)
		_, err = evaluation.ReadMMLU(hub)
		require.ErrorIs(t, err, dataset.ErrFormat)
		require.ErrorContains(t, err, says)
	}
}
