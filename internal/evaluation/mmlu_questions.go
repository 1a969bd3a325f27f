package evaluation

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/internal/dataset"
)

// Question is a question with four choices.
type Question struct {
	Text    string
	Choices [4]string
	Answer  int // index of the right one
}

// MMLUSubject is a subject of the MMLU data set.
type MMLUSubject struct {
	Name string
	// Dev are the questions that are shown with their answers, Test those that are asked.
	Dev, Test []Question
}

// letters name the choices.
const letters = "ABCD"

// ReadMMLU reads the MMLU data set below a directory, as its authors' archive has it (dev/SUBJECT_dev.csv and test/SUBJECT_test.csv,
// without a line of names) or as the hub's cais/mmlu has it (dev-*.parquet and test-*.parquet with the columns question,
// subject, choices and answer, in the directory itself, in all, or in a directory for each subject). Subjects are sorted by name.
//
// Errors wrap dataset.ErrFormat, or are those of the file system.
func ReadMMLU(dir string) ([]MMLUSubject, error) {
	if tests, _ := filepath.Glob(filepath.Join(dir, "test", "*_test.csv")); len(tests) > 0 {
		return readMMLUCSV(dir, tests)
	}
	for _, place := range []string{".", "all", "data", "*"} {
		tests, _ := filepath.Glob(filepath.Join(dir, place, "test-*.parquet"))
		if len(tests) > 0 {
			dev, _ := filepath.Glob(filepath.Join(dir, place, "dev-*.parquet"))
			return readMMLUParquet(dev, tests)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s has neither test/SUBJECT_test.csv, as in the archive of the MMLU data set, nor test-*.parquet, as in the hub's cais/mmlu", dataset.ErrFormat, dir)
}

func readMMLUCSV(dir string, tests []string) ([]MMLUSubject, error) {
	slices.Sort(tests)
	var subjects []MMLUSubject
	for _, test := range tests {
		s := MMLUSubject{Name: strings.TrimSuffix(filepath.Base(test), "_test.csv")}
		var err error
		if s.Test, err = readQuestions(test); err != nil {
			return nil, err
		}
		s.Dev, err = readQuestions(filepath.Join(dir, "dev", s.Name+"_dev.csv"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // --ntrain 0 needs none
			return nil, err
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}

// csvColumns are the fields of a line of the archive's files.
var csvColumns = []string{"question", "A", "B", "C", "D", "answer"}

func readQuestions(path string) ([]Question, error) {
	var questions []Question
	for row, err := range dataset.Rows(path, dataset.TableOptions{Header: csvColumns}) {
		if err != nil {
			return nil, err
		}
		var fields [6]string
		for i, name := range csvColumns {
			if fields[i], err = row.Text(name); err != nil {
				return nil, err
			}
		}
		answer := strings.Index(letters, fields[5])
		if len(fields[5]) != 1 || answer < 0 {
			return nil, row.Errorf("the answer is %q where A, B, C or D should be", fields[5])
		}
		questions = append(questions, Question{fields[0], [4]string(fields[1:5]), answer})
	}
	return questions, nil
}

func readMMLUParquet(dev, tests []string) ([]MMLUSubject, error) {
	subjects := map[string]*MMLUSubject{}
	for _, split := range []struct {
		files []string
		add   func(*MMLUSubject, Question)
	}{
		{dev, func(s *MMLUSubject, q Question) { s.Dev = append(s.Dev, q) }},
		{tests, func(s *MMLUSubject, q Question) { s.Test = append(s.Test, q) }},
	} {
		slices.Sort(split.files)
		for _, path := range split.files {
			for row, err := range dataset.Rows(path, dataset.TableOptions{Columns: []string{"question", "subject", "choices", "answer"}}) {
				if err != nil {
					return nil, err
				}
				name, question, err := questionOf(row)
				if err != nil {
					return nil, err
				}
				if subjects[name] == nil {
					subjects[name] = &MMLUSubject{Name: name}
				}
				split.add(subjects[name], question)
			}
		}
	}
	var list []MMLUSubject
	for _, name := range slices.Sorted(maps.Keys(subjects)) {
		if s := subjects[name]; len(s.Test) > 0 {
			list = append(list, *s)
		}
	}
	return list, nil
}

// questionOf reads a row of the hub's files.
func questionOf(row dataset.Row) (subject string, q Question, err error) {
	if subject, err = row.Text("subject"); err != nil {
		return "", q, err
	}
	if q.Text, err = row.Text("question"); err != nil {
		return "", q, err
	}
	choices, err := row.Texts("choices")
	if err != nil {
		return "", q, err
	}
	if len(choices) != len(q.Choices) {
		return "", q, row.Errorf("the question has %d choices where %d should be", len(choices), len(q.Choices))
	}
	copy(q.Choices[:], choices)
	answer, err := row.Scalar("answer")
	if err != nil {
		return "", q, err
	}
	if len(answer) != 1 || answer[0] < '0' || answer[0] > '3' {
		return "", q, row.Errorf("the answer is %q where 0, 1, 2 or 3 should be", answer)
	}
	q.Answer = int(answer[0] - '0')
	return subject, q, nil
}
