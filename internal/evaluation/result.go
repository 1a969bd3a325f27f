package evaluation

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/trtgo/trtgo/rouge"
)

// Result is what a summarisation gave.
type Result struct {
	Samples []Sample
	// Beams has the scores of each beam or sequence over all samples.
	Beams []rouge.Interval
	// Perplexities are the means over all samples for each beam, if they were asked for.
	Perplexities []float64
	// Latency is the time of tokenising, generating and decoding all batches.
	Latency time.Duration
	// OutputTokens is the number of generated tokens, of all sequences.
	OutputTokens int
	// Partial names the files that hold the samples of an evaluation which ended early.
	Partial []string
}

func (r *Result) aggregate() {
	if len(r.Samples) == 0 {
		return
	}
	for beam := range r.Samples[0].Scores {
		r.Beams = append(r.Beams, rouge.Aggregate(r.beamScores(beam)))
	}
	for beam := range r.Samples[0].Perplexities {
		sum := 0.0
		for _, sample := range r.Samples {
			sum += sample.Perplexities[beam]
		}
		r.Perplexities = append(r.Perplexities, sum/float64(len(r.Samples)))
	}
}

func (r *Result) beamScores(beam int) []rouge.Scores {
	var scores []rouge.Scores
	for _, sample := range r.Samples {
		if beam < len(sample.Scores) {
			scores = append(scores, sample.Scores[beam])
		}
	}
	return scores
}

// TokensPerSecond is OutputTokens over Latency.
func (r *Result) TokensPerSecond() float64 {
	if r.Latency <= 0 {
		return 0
	}
	return float64(r.OutputTokens) / r.Latency.Seconds()
}

// Fmeasures are the four F-measures times 100, as they are reported.
type Fmeasures struct {
	Rouge1    float64 `json:"rouge1"`
	Rouge2    float64 `json:"rouge2"`
	RougeL    float64 `json:"rougeL"`
	RougeLsum float64 `json:"rougeLsum"`
}

func fmeasuresOf(s rouge.Scores) Fmeasures {
	return Fmeasures{100 * s.Rouge1.FMeasure, 100 * s.Rouge2.FMeasure, 100 * s.RougeL.FMeasure, 100 * s.RougeLsum.FMeasure}
}

// fmeasureNames are upstream's, in the order of values.
var fmeasureNames = [4]string{"rouge1", "rouge2", "rougeL", "rougeLsum"}

func (f Fmeasures) values() [4]float64 {
	return [4]float64{f.Rouge1, f.Rouge2, f.RougeL, f.RougeLsum}
}

// Report is the last line of summarize --json. It is of the first beam; Beams has all of them if there are several.
type Report struct {
	Fmeasures
	Samples         int          `json:"samples"`
	TokensPerSecond float64      `json:"tokens_per_second"`
	OutputTokens    int          `json:"output_tokens"`
	Seconds         float64      `json:"seconds"`
	Mean            Fmeasures    `json:"mean"`
	Perplexity      *float64     `json:"perplexity,omitempty"`
	Beams           []BeamReport `json:"beams,omitempty"`
}

// BeamReport sums one beam up.
type BeamReport struct {
	Fmeasures
	Mean       Fmeasures `json:"mean"`
	Perplexity *float64  `json:"perplexity,omitempty"`
}

// Report sums the result up.
func (r *Result) Report() Report {
	report := Report{Samples: len(r.Samples), TokensPerSecond: r.TokensPerSecond(), OutputTokens: r.OutputTokens, Seconds: r.Latency.Seconds()}
	var beams []BeamReport
	for i, beam := range r.Beams {
		b := BeamReport{Fmeasures: fmeasuresOf(beam.Median), Mean: fmeasuresOf(beam.Mean)}
		if i < len(r.Perplexities) {
			b.Perplexity = &r.Perplexities[i]
		}
		beams = append(beams, b)
	}
	if len(beams) > 0 {
		report.Fmeasures, report.Mean, report.Perplexity = beams[0].Fmeasures, beams[0].Mean, beams[0].Perplexity
	}
	if len(beams) > 1 {
		report.Beams = beams
	}
	return report
}

// deviations are the standard deviations (of the population) of a beam's F-measures, times 100, in the order of fmeasureNames.
func (r *Result) deviations(beam int) [4]float64 {
	mean := fmeasuresOf(r.Beams[beam].Mean).values()
	scores := r.beamScores(beam)
	var squares [4]float64
	for _, s := range scores {
		for i, value := range fmeasuresOf(s).values() {
			squares[i] += (value - mean[i]) * (value - mean[i])
		}
	}
	for i := range squares {
		squares[i] = math.Sqrt(squares[i] / float64(len(scores)))
	}
	return squares
}

// WriteText writes upstream's lines. Each beam's mean follows in a line of its own, whose names are not followed by a
// colon, so that scripts which search for "rouge1:" find upstream's value alone. With standardDeviation, upstream's
// --estimate_accuracy_std_dev, the mean takes the place of the bootstrap median and the deviation follows it in brackets.
func (r *Result) WriteText(w io.Writer, standardDeviation bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TensorRT-LLM (total latency: %s sec)\n", pythonFloat(r.Latency.Seconds()))
	fmt.Fprintf(&b, "TensorRT-LLM (total output tokens: %d)\n", r.OutputTokens)
	fmt.Fprintf(&b, "TensorRT-LLM (tokens per second: %s)\n", pythonFloat(r.TokensPerSecond()))
	for beam := range r.Beams {
		r.writeBeam(&b, beam, standardDeviation)
		if beam < len(r.Perplexities) {
			fmt.Fprintf(&b, "  Per-token perplexity: %s\n", pythonFloat(r.Perplexities[beam]))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) writeBeam(b *strings.Builder, beam int, standardDeviation bool) {
	total := r.Beams[beam]
	fmt.Fprintf(b, "TensorRT-LLM beam %d result\n", beam)
	mean := fmeasuresOf(total.Mean).values()
	if standardDeviation {
		for i, deviation := range r.deviations(beam) {
			fmt.Fprintf(b, "  %s: %s (%s)\n", fmeasureNames[i], pythonFloat(mean[i]), pythonFloat(deviation))
		}
		return
	}
	for i, median := range fmeasuresOf(total.Median).values() {
		fmt.Fprintf(b, "  %s: %s\n", fmeasureNames[i], pythonFloat(median))
	}
	fmt.Fprintf(b, "  (mean of %d:", total.Samples)
	for i, name := range fmeasureNames {
		fmt.Fprintf(b, " %s %.2f", name, mean[i])
	}
	b.WriteString(")\n")
}

// pythonFloat writes a number as Python does: the shortest digits that give it back, with a decimal point.
func pythonFloat(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) || math.IsInf(v, 0) || math.IsNaN(v) {
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// CheckAccuracy is --check_accuracy: rouge1 of the first beam, times 100, must be greater than the threshold. The value is the
// one that is printed: the bootstrap median, or with standardDeviation the mean. An error wraps ErrAccuracy.
func (r *Result) CheckAccuracy(threshold float64, standardDeviation bool) error {
	if len(r.Beams) == 0 {
		return errors.Join(ErrAccuracy, ErrNoSamples)
	}
	total := r.Beams[0].Median
	if standardDeviation {
		total = r.Beams[0].Mean
	}
	if rouge1 := 100 * total.Rouge1.FMeasure; !(rouge1 > threshold) {
		return fmt.Errorf("%w: [FAILED] rouge1 (%s) is not greater than threshold (%s)", ErrAccuracy, pythonFloat(rouge1), pythonFloat(threshold))
	}
	return nil
}

// CheckPerplexity is --check_accuracy with --eval_ppl: the first beam's mean perplexity must be smaller than the threshold. An error
// wraps ErrAccuracy.
func (r *Result) CheckPerplexity(threshold float64) error {
	if len(r.Perplexities) == 0 {
		return errors.Join(ErrAccuracy, ErrNoSamples)
	}
	if mean := r.Perplexities[0]; !(mean < threshold) {
		return fmt.Errorf("%w: [FAILED] the mean perplexity (%s) is not smaller than threshold (%s)", ErrAccuracy, pythonFloat(mean), pythonFloat(threshold))
	}
	return nil
}
