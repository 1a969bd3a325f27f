package rouge

import (
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/numpyrandom"
)

// Resampling as rouge-score's BootstrapAggregator does by default.
const bootstrapSamples = 1000

// Interval sums up the scores of many pairs.
type Interval struct {
	// Low and High bound the middle 95 percent of the bootstrap's means, Median lies in their middle. Each number is a
	// percentile of its own, so FMeasure is not the harmonic mean of Precision and Recall here.
	Low    Scores `json:"low"`
	Median Scores `json:"median"`
	High   Scores `json:"high"`
	// Mean is the plain mean of all scores.
	Mean Scores `json:"mean"`
	// Samples is the number of pairs.
	Samples int `json:"samples"`
}

// Aggregate sums up scores as TensorRT-LLM's summarize.py and Hugging Face's "evaluate" do: what they print, times 100, are
// the F-measures of Median. It is AggregateSeed with seed 0. For no scores at all it returns the zero value.
func Aggregate(scores []Scores) Interval {
	return AggregateSeed(scores, 0)
}

// AggregateSeed is rouge-score's BootstrapAggregator after numpy.random.seed(seed), its scores added in the order given. For each
// of rouge1, rouge2, rougeL and rougeLsum in turn, from one random stream, 1000 resamples of the scores are drawn with
// replacement; Low, Median and High are the 2.5th, 50th and 97.5th percentile of their means.
//
// The order of scores matters: another order gives another, equally good, median.
func AggregateSeed(scores []Scores, seed uint32) Interval {
	sets := make([]Set, len(scores))
	for i := range scores {
		sets[i] = scores[i].Set()
	}
	total := AggregateSets(sets, seed)
	result := Interval{Samples: len(scores)}
	for i, kind := range kinds {
		if len(scores) > 0 {
			*kind(&result.Low), *kind(&result.Median), *kind(&result.High) = total.Low.Scores[i], total.Median.Scores[i], total.High.Scores[i]
			*kind(&result.Mean) = total.Mean.Scores[i]
		}
	}
	return result
}

func bootstrap(column []Score, random *numpyrandom.RandomState) (low, median, high Score) {
	var precision, recall, fmeasure [bootstrapSamples]float64
	index := make([]int, len(column))
	resample := make([]Score, len(column))
	for i := range bootstrapSamples {
		random.Choice(index, len(column))
		for j, at := range index {
			resample[j] = column[at]
		}
		mean := meanOf(resample)
		precision[i], recall[i], fmeasure[i] = mean.Precision, mean.Recall, mean.FMeasure
	}
	slices.Sort(precision[:])
	slices.Sort(recall[:])
	slices.Sort(fmeasure[:])
	at := func(q float64) Score {
		return Score{percentile(precision[:], q), percentile(recall[:], q), percentile(fmeasure[:], q)}
	}
	// Computed in float64 as numpy is made to: the exact constants would differ in the last bit.
	confidence, hundred := 0.95, 100.0
	delta := (1 - confidence) / 2
	return at(hundred * delta), at(hundred * 0.5), at(hundred * (1 - delta))
}

// meanOf adds the rows one after the other, as numpy does along the first axis.
func meanOf(column []Score) Score {
	var sum Score
	for _, s := range column {
		sum.Precision += s.Precision
		sum.Recall += s.Recall
		sum.FMeasure += s.FMeasure
	}
	n := float64(len(column))
	return Score{sum.Precision / n, sum.Recall / n, sum.FMeasure / n}
}

// percentile is numpy.percentile with linear interpolation, of at least two sorted values. The conversions keep the compiler
// from fusing multiplication and addition, which some processors round differently.
func percentile(sorted []float64, q float64) float64 {
	position := float64(len(sorted)-1) * (q / 100)
	floor := math.Floor(position)
	weight := position - floor
	below, above := sorted[int(floor)], sorted[int(floor)+1]
	if weight >= 0.5 {
		return above - float64((above-below)*(1-weight))
	}
	return below + float64((above-below)*weight)
}
