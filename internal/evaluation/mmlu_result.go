package evaluation

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// MMLUScore is how many of some questions were answered right, by each method that was used.
type MMLUScore struct {
	Name      string `json:"name,omitempty"`
	Questions int    `json:"questions"`
	// Accuracy is upstream's method's, LikelihoodAccuracy lm-evaluation-harness's, from 0 to 1; nil where the method was left out.
	Accuracy           *float64 `json:"accuracy,omitempty"`
	LikelihoodAccuracy *float64 `json:"likelihood_accuracy,omitempty"`
}

// MMLUResult is the outcome of an evaluation. Every score is weighted by question.
type MMLUResult struct {
	Answers       []Answer // in the order of subjects and questions
	Subjects      []MMLUScore
	Subcategories []MMLUScore // with questions, in upstream's order
	Categories    []MMLUScore
	Total         MMLUScore
	Wanted        int // questions that were to be asked
	// Unclassified are the subjects that the data set has not got, which count in the total only.
	Unclassified []string
}

// result counts the answers.
func (m *mmlu) result() MMLUResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := MMLUResult{Wanted: m.total}
	bySubject := map[string][]Answer{}
	for i := range m.subjects {
		var answers []Answer
		for _, a := range m.answers[i] {
			if a != nil {
				answers = append(answers, *a)
			}
		}
		name := m.subjects[i].Name
		if len(answers) == 0 {
			continue
		}
		bySubject[name] = answers
		r.Answers = append(r.Answers, answers...)
		r.Subjects = append(r.Subjects, m.score(name, answers))
		if mmluGroupOf(name) == nil {
			r.Unclassified = append(r.Unclassified, name)
		}
	}
	byCategory := map[string][]Answer{}
	for _, g := range mmluGroups {
		var answers []Answer
		for _, subject := range g.subjects {
			answers = append(answers, bySubject[subject]...)
		}
		byCategory[g.category] = append(byCategory[g.category], answers...)
		r.Subcategories = append(r.Subcategories, m.score(g.name, answers))
	}
	for _, category := range mmluCategories {
		r.Categories = append(r.Categories, m.score(category, byCategory[category]))
	}
	none := func(s MMLUScore) bool { return s.Questions == 0 }
	r.Subcategories, r.Categories = slices.DeleteFunc(r.Subcategories, none), slices.DeleteFunc(r.Categories, none)
	r.Total = m.score("", r.Answers)
	return r
}

func (m *mmlu) score(name string, answers []Answer) MMLUScore {
	s := MMLUScore{Name: name, Questions: len(answers)}
	share := func(used bool, right func(*Answer) bool) *float64 {
		if !used || len(answers) == 0 {
			return nil
		}
		n := 0
		for i := range answers {
			if right(&answers[i]) {
				n++
			}
		}
		v := float64(n) / float64(len(answers))
		return &v
	}
	s.Accuracy = share(m.o.Generate != nil, func(a *Answer) bool { return a.Correct })
	s.LikelihoodAccuracy = share(m.o.Score != nil, func(a *Answer) bool { return a.LikelyCorrect })
	return s
}

// LikelihoodStderr is the standard error of the total by log-likelihood: that of a mean of Questions zeros and ones.
func (r *MMLUResult) LikelihoodStderr() float64 {
	if r.Total.LikelihoodAccuracy == nil || r.Total.Questions < 2 {
		return 0
	}
	p := *r.Total.LikelihoodAccuracy
	return math.Sqrt(p * (1 - p) / float64(r.Total.Questions-1))
}

// WriteText writes upstream's lines, then those of the other method, in words of their own: a script that searches for upstream's
// finds upstream's numbers alone.
func (r *MMLUResult) WriteText(w io.Writer) error {
	var b strings.Builder
	r.writeMethod(&b, "Average accuracy", func(s *MMLUScore) *float64 { return s.Accuracy })
	if p := r.Total.Accuracy; p != nil {
		fmt.Fprintf(&b, "MMLU weighted average accuracy: %.2f\n", 100**p)
	}
	r.writeMethod(&b, "Log-likelihood accuracy", func(s *MMLUScore) *float64 { return s.LikelihoodAccuracy })
	if p := r.Total.LikelihoodAccuracy; p != nil {
		fmt.Fprintf(&b, "MMLU log-likelihood accuracy: %.2f ± %.2f\n", 100**p, 100*r.LikelihoodStderr())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *MMLUResult) writeMethod(b *strings.Builder, words string, accuracy func(*MMLUScore) *float64) {
	if accuracy(&r.Total) == nil {
		return
	}
	for i := range r.Subjects {
		fmt.Fprintf(b, "%s %.3f - %s\n", words, *accuracy(&r.Subjects[i]), r.Subjects[i].Name)
	}
	for _, s := range slices.Concat(r.Subcategories, r.Categories) {
		fmt.Fprintf(b, "%s %.2f - %s\n", words, 100**accuracy(&s), s.Name)
	}
}

// CheckAccuracy is --check_accuracy: the total in percent, of upstream's method if that was used, must be at least the threshold.
// An error wraps ErrAccuracy.
func (r *MMLUResult) CheckAccuracy(threshold float64) error {
	p := r.Total.Accuracy
	if p == nil {
		p = r.Total.LikelihoodAccuracy
	}
	if p != nil && 100**p >= threshold {
		return nil
	}
	got := 0.0
	if p != nil {
		got = 100 * *p
	}
	return fmt.Errorf("%w: [FAILED] the accuracy is %s, at least %s is expected", ErrAccuracy, pythonFloat(got), pythonFloat(threshold))
}
