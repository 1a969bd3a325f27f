package nativeexecutor

import (
	"fmt"
	"math"
	"slices"

	"github.com/trtgo/trtgo/csrc/native"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// TensorRT's names of types of logits.
const (
	logitsFloat = "FLOAT"
	logitsHalf  = "HALF"
	logitsBF16  = "BF16"
)

// formats are package floatformat's names of them.
var formats = map[string]string{logitsFloat: "F32", logitsHalf: "F16", logitsBF16: "BF16"}

// rows copies the first n rows of logits out of an array whose last dimension is
// vocab_size_padded, each cut to vocabSize.
func rows(a *native.Array, n, vocabSize int) ([][]float32, error) {
	format := formats[a.Type]
	if format == "" {
		return nil, fmt.Errorf("logits of type %q came, FLOAT, HALF or BF16 are known", a.Type)
	}
	if len(a.Dims) < 2 || a.Dims[len(a.Dims)-1] < int64(vocabSize) {
		return nil, fmt.Errorf("logits of shape %d came, a vocabulary of %d is wanted", a.Dims, vocabSize)
	}
	width := int(a.Dims[len(a.Dims)-1]) * floatformat.Size(format)
	if len(a.Data)/width < n {
		return nil, fmt.Errorf("%d rows of logits came for %d tokens", len(a.Data)/width, n)
	}
	list := make([][]float32, n)
	for i := range list {
		list[i] = make([]float32, vocabSize)
		floatformat.Decode(list[i], a.Data[i*width:], format)
	}
	return list, nil
}

// logSumExp is log(sum(exp(x))) of a row, in float64. It is no number where the row
// has one that is none.
func logSumExp(row []float32) float64 {
	top := float64(slices.Max(row)) // NaN if any is
	sum := 0.0
	for _, l := range row {
		sum += math.Exp(float64(l) - top)
	}
	return top + math.Log(sum)
}

// logProb is the log-prob of a token under the model.
func logProb(row []float32, sum float64, token int32) float32 {
	return float32(float64(row[token]) - sum)
}

// best are the n tokens of a row with the largest logits, descending; equal ones ascend
// by id.
func best(row []float32, sum float64, n int) []executor.LogProb {
	list := make([]executor.LogProb, 0, n)
	for i, l := range row { // insertion into a short list: most are below its last
		if len(list) == n && l <= list[n-1].LogProb {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, l, func(p executor.LogProb, l float32) int {
			if p.LogProb >= l {
				return -1
			}
			return 1
		})
		if len(list) == n {
			list = list[:n-1]
		}
		list = slices.Insert(list, at, executor.LogProb{Token: int32(i), LogProb: l})
	}
	for i := range list {
		list[i].LogProb = float32(float64(list[i].LogProb) - sum)
	}
	return list
}

// isNumber tells whether a log-sum can be one of logits.
func isNumber(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// dense makes the bias of every token of the vocabulary, in the type of the logits. What
// that type cannot hold is its largest or smallest number.
func dense(bias map[int32]float32, vocabSize int, logitsType string) native.Array {
	values := make([]float32, vocabSize)
	most := float32(math.MaxFloat32)
	switch logitsType {
	case logitsHalf:
		most = 65504
	case logitsBF16:
		most = math.Float32frombits(0x7f7f0000)
	}
	for token, b := range bias {
		if !math.IsInf(float64(b), -1) { // a ban stays one
			b = max(-most, min(most, b))
		}
		values[token] = b
	}
	format := formats[logitsType]
	data := make([]byte, vocabSize*floatformat.Size(format))
	floatformat.Encode(data, values, format)
	return native.Array{Data: data, Type: logitsType, Dims: []int64{int64(vocabSize)}}
}

// promptLogProbs are those of a prompt's tokens from the logits of its positions, and the
// best n tokens at each, from one on. Nothing comes before the first.
func promptLogProbs(ids []int32, logits [][]float32, from, n int) (probs []float32, top [][]executor.LogProb, err error) {
	probs, top = make([]float32, len(ids)), make([][]executor.LogProb, len(ids))
	for i := max(1, from); i < len(ids); i++ {
		row := logits[i-1]
		sum := logSumExp(row)
		if !isNumber(sum) {
			return nil, nil, fmt.Errorf("after token %d of the prompt: %w", i-1, errNaN)
		}
		probs[i] = logProb(row, sum, ids[i])
		if n > 0 {
			top[i] = best(row, sum, n)
		}
	}
	return probs, top, nil
}

// score is what beams are ranked by: cumulative log-prob / length^penalty, where an end
// id counts.
func score(cumLogProb float32, length int, penalty float32) float64 {
	return float64(cumLogProb) / math.Pow(float64(max(1, length)), float64(penalty))
}
