package evaluation

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// CompareSummary is a comparison in numbers, as eval compare --json prints it.
type CompareSummary struct {
	A          ComparedModel `json:"a"`
	B          ComparedModel `json:"b"`
	Tokens     int           `json:"tokens"`
	VocabSize  int           `json:"vocab_size"`
	KL         Spread        `json:"kl"`
	SameBest   float64       `json:"same_best"` // share of tokens at which both find the same token the likeliest
	LogProb    LogProbs      `json:"log_prob"`
	ByContext  []ByContext   `json:"by_context"`
	ByPosition []ByContext   `json:"by_position"`
	Largest    []Large       `json:"largest"`
}

// ComparedModel is one model's name and perplexity.
type ComparedModel struct {
	Name string `json:"name"`
	Perplexity
}

// Spread is how a number is spread over the tokens.
type Spread struct {
	Mean   float64 `json:"mean"`
	StdErr float64 `json:"stderr"` // standard error of the mean
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// LogProbs is how B's log-probs of the texts' own tokens differ from A's: B − A.
type LogProbs struct {
	Mean    float64 `json:"mean"`
	MeanAbs float64 `json:"mean_abs"`
	RMS     float64 `json:"rms"`
	MaxAbs  float64 `json:"max_abs"`
}

// ByContext is a part of the tokens: those with From to To tokens before them in their window, or at the places From to To of
// their texts.
type ByContext struct {
	From     int     `json:"from"`
	To       int     `json:"to"`
	Tokens   int     `json:"tokens"`
	KL       float64 `json:"kl"`
	SameBest float64 `json:"same_best"`
}

// Large is one of the largest differences, with texts of tokens.
type Large struct {
	Text     int      `json:"text"`
	Position int      `json:"position"`
	Context  int      `json:"context"`
	Token    int32    `json:"token"`
	Piece    string   `json:"piece"`
	KL       float64  `json:"kl"`
	LogProbA float64  `json:"log_prob_a"`
	LogProbB float64  `json:"log_prob_b"`
	TopA     []Choice `json:"top_a"`
	TopB     []Choice `json:"top_b"`
}

// Choice is one of the likeliest tokens.
type Choice struct {
	Token       int32   `json:"token"`
	Piece       string  `json:"piece"`
	Probability float64 `json:"probability"`
}

// Summary computes the numbers of a comparison. piece gives a token's text.
func (c *Comparison) Summary(piece func(int32) string) CompareSummary {
	s := CompareSummary{
		A: ComparedModel{c.Names[0], c.A}, B: ComparedModel{c.Names[1], c.B}, Tokens: len(c.Tokens), VocabSize: c.VocabSize,
		KL: c.klSpread(), LogProb: c.logProbs(), SameBest: part(c.Tokens).SameBest,
		ByContext: c.byContext(), ByPosition: c.byPosition(), Largest: []Large{},
	}
	choices := func(list []Likely) []Choice {
		var choices []Choice
		for _, l := range list {
			choices = append(choices, Choice{l.Token, piece(l.Token), l.Probability})
		}
		return choices
	}
	for _, l := range c.Largest {
		s.Largest = append(s.Largest, Large{
			Text: l.Text, Position: l.Position, Context: l.Context, Token: l.Token, Piece: piece(l.Token), KL: l.KL,
			LogProbA: l.LogProbA, LogProbB: l.LogProbB, TopA: choices(l.TopA), TopB: choices(l.TopB),
		})
	}
	return s
}

func (c *Comparison) klSpread() Spread {
	n := float64(len(c.Tokens))
	values := make([]float64, len(c.Tokens))
	sum, squares := 0.0, 0.0
	for i := range c.Tokens {
		values[i] = c.Tokens[i].KL
		sum += values[i]
	}
	slices.Sort(values)
	s := Spread{
		Mean: sum / n, Median: quantile(values, 0.5), P90: quantile(values, 0.9), P95: quantile(values, 0.95), P99: quantile(values, 0.99), Max: values[len(values)-1],
	}
	for _, v := range values {
		squares += (v - s.Mean) * (v - s.Mean)
	}
	if n > 1 {
		s.StdErr = math.Sqrt(squares / (n - 1) / n)
	}
	return s
}

// quantile interpolates between the two nearest of sorted values, as numpy does.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

func (c *Comparison) logProbs() LogProbs {
	var l LogProbs
	n := float64(len(c.Tokens))
	squares := 0.0
	for i := range c.Tokens {
		d := c.Tokens[i].LogProbB - c.Tokens[i].LogProbA
		l.Mean += d / n
		l.MeanAbs += math.Abs(d) / n
		squares += d * d / n
		l.MaxAbs = max(l.MaxAbs, math.Abs(d))
	}
	l.RMS = math.Sqrt(squares)
	return l
}

// byContext divides the tokens at powers of two of their contexts' lengths.
func (c *Comparison) byContext() []ByContext {
	most := 0
	for i := range c.Tokens {
		most = max(most, c.Tokens[i].Context)
	}
	var list []ByContext
	for from := 1; from <= most; from *= 2 {
		list = appendPart(list, c.Tokens, from, min(2*from-1, most), func(d *TokenDifference) int { return d.Context })
	}
	return list
}

// positionParts is into how many parts texts are divided by position.
const positionParts = 20

// byPosition divides the places of the texts into equal parts.
func (c *Comparison) byPosition() []ByContext {
	most := 0
	for i := range c.Tokens {
		most = max(most, c.Tokens[i].Position)
	}
	width := most/positionParts + 1
	var list []ByContext
	for from := 0; from <= most; from += width {
		list = appendPart(list, c.Tokens, from, min(from+width-1, most), func(d *TokenDifference) int { return d.Position })
	}
	return list
}

// appendPart adds the tokens for which of is in a range, if there are any.
func appendPart(list []ByContext, tokens []TokenDifference, from, to int, of func(*TokenDifference) int) []ByContext {
	var chosen []TokenDifference
	for i := range tokens {
		if at := of(&tokens[i]); at >= from && at <= to {
			chosen = append(chosen, tokens[i])
		}
	}
	if len(chosen) == 0 {
		return list
	}
	p := part(chosen)
	p.From, p.To = from, to
	return append(list, p)
}

func part(tokens []TokenDifference) ByContext {
	p := ByContext{Tokens: len(tokens)}
	same := 0
	for i := range tokens {
		p.KL += tokens[i].KL / float64(len(tokens))
		if tokens[i].BestA == tokens[i].BestB {
			same++
		}
	}
	p.SameBest = float64(same) / float64(len(tokens))
	return p
}

// WriteText writes the numbers for people.
func (s *CompareSummary) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tmodel\tperplexity\tnats/token\tbits/byte\t")
	for i, m := range []*ComparedModel{&s.A, &s.B} {
		fmt.Fprintf(t, "%c\t%s\t%.4f\t%.4f\t%.4f\t\n", "AB"[i], m.Name, m.Perplexity.Perplexity, m.NLLPerToken, m.BitsPerByte)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%d tokens, vocabulary of %d\n", s.Tokens, s.VocabSize)
	fmt.Fprintf(w, "KL divergence of B from A, nats: mean %.6f ± %.6f, median %.6f, 90%% %.6f, 95%% %.6f, 99%% %.6f, max %.6f\n",
		s.KL.Mean, s.KL.StdErr, s.KL.Median, s.KL.P90, s.KL.P95, s.KL.P99, s.KL.Max)
	fmt.Fprintf(w, "the same likeliest token: %.2f %%\n", 100*s.SameBest)
	fmt.Fprintf(w, "log-probs of the text, B − A: mean %+.6f, mean of magnitudes %.6f, rms %.6f, max %.6f\n\n", s.LogProb.Mean, s.LogProb.MeanAbs, s.LogProb.RMS, s.LogProb.MaxAbs)
	fmt.Fprintln(t, "context\ttokens\tKL\tsame likeliest\t")
	for _, p := range s.ByContext {
		fmt.Fprintf(t, "%d–%d\t%d\t%.6f\t%.2f %%\t\n", p.From, p.To, p.Tokens, p.KL, 100*p.SameBest)
	}
	fmt.Fprintln(t, "\nlargest KL\tplace\ttoken\tA's likeliest\tB's likeliest\t")
	for _, l := range s.Largest[:min(10, len(s.Largest))] {
		fmt.Fprintf(t, "%.4f\t%d\t%q\t%s\t%s\t\n", l.KL, l.Position, l.Piece, choiceText(l.TopA), choiceText(l.TopB))
	}
	return t.Flush()
}

func choiceText(list []Choice) string {
	text := ""
	for _, c := range list[:min(2, len(list))] {
		text += fmt.Sprintf("%q %.3f  ", c.Piece, c.Probability)
	}
	return text
}
