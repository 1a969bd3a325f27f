package evaluation

import (
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/tokenizer"
)

// head is the first line of a prompt.
const mmluHead = "The following are multiple choice questions (with answers) about %s.\n\n"

// upstreamPrompt is the prompt of TensorRT-LLM's mmlu.py: there are two blanks before the subject's name.
func upstreamPrompt(s *MMLUSubject, shots int, q *Question) string {
	var b strings.Builder
	fmt.Fprintf(&b, mmluHead, " "+strings.ReplaceAll(s.Name, "_", " "))
	for i := range shots {
		shot := &s.Dev[i]
		b.WriteString(shot.ask(shot.Text))
		fmt.Fprintf(&b, " %c\n\n", letters[shot.Answer])
	}
	b.WriteString(q.ask(q.Text))
	return b.String()
}

// harnessPrompt is that of lm-evaluation-harness's task mmlu: one blank, and blanks around a question are dropped.
func harnessPrompt(s *MMLUSubject, shots int, q *Question) string {
	var b strings.Builder
	fmt.Fprintf(&b, mmluHead, strings.ReplaceAll(s.Name, "_", " "))
	for i := range shots {
		shot := &s.Dev[i]
		b.WriteString(shot.ask(strings.TrimSpace(shot.Text)))
		fmt.Fprintf(&b, " %c\n\n", letters[shot.Answer])
	}
	b.WriteString(q.ask(strings.TrimSpace(q.Text)))
	return b.String()
}

// ask is a question's text with its choices.
func (q *Question) ask(text string) string {
	var b strings.Builder
	b.WriteString(text)
	for i, choice := range q.Choices {
		fmt.Fprintf(&b, "\n%c. %s", letters[i], choice)
	}
	b.WriteString("\nAnswer:")
	return b.String()
}

// fitting is the prompt of upstream's method, with as many shots as leave room for two tokens.
func (m *mmlu) fitting(s *MMLUSubject, q *Question) (ids []int32, shots int, err error) {
	for shots = m.o.NTrain; ; shots-- {
		ids, err = m.o.Tokenizer.Encode(upstreamPrompt(s, shots, q), tokenizer.EncodeOptions{AddSpecialTokens: m.o.AddSpecialTokens})
		if err != nil || len(ids) <= m.o.MaxInputLen && len(ids)+writtenTokens <= m.o.MaxSeqLen {
			return ids, shots, err
		}
		if shots == 0 {
			return nil, 0, fmt.Errorf("it has %d tokens without any other beside it, the engine takes %d and %d more: build it with a larger max_seq_len and max_input_len",
				len(ids), min(m.o.MaxInputLen, m.o.MaxSeqLen-writtenTokens), writtenTokens)
		}
	}
}

// continuations are the prompt of the other method followed by each letter, and how many tokens stand before the letter. What is
// too long loses its beginning.
func (m *mmlu) continuations(s *MMLUSubject, q *Question) (all [4][]int32, from [4]int, err error) {
	options := tokenizer.EncodeOptions{AddSpecialTokens: m.o.AddBOSToken}
	text := harnessPrompt(s, m.o.NTrain, q)
	context, err := m.o.Tokenizer.Encode(text, options)
	if err != nil {
		return all, from, err
	}
	most := min(m.o.MaxInputLen, m.o.MaxSeqLen-1)
	for i := range letters {
		whole, err := m.o.Tokenizer.Encode(text+" "+letters[i:i+1], options)
		if err != nil {
			return all, from, err
		}
		cut := max(0, len(whole)-most)
		all[i], from[i] = whole[cut:], max(1, len(context)-cut)
		if from[i] >= len(all[i]) {
			return all, from, fmt.Errorf("%q and a letter are as many tokens as it alone (%d): the tokenizer makes no tokens of letters", "Answer:", len(context))
		}
	}
	return all, from, nil
}
