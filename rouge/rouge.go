// Package rouge computes ROUGE-1 to ROUGE-9, ROUGE-L and ROUGE-Lsum as Google's rouge-score 0.1.2 does, the package behind the
// numbers that are published for summarisation models.
//
// A [Scorer] compares one prediction with one reference, by the usual four kinds or by [Type]s of the caller's choice. [Aggregate] turns many such scores into the figure that
// TensorRT-LLM's summarize.py prints: not the mean but the median of a bootstrap, drawn with numpy's generator. Both are
// equal to the originals in every bit that was compared; goldens made with the originals are part of the tests.
//
// Text is lower-cased, every run of characters other than a–z and 0–9 separates tokens, and with [Options.Stemmer] tokens of
// more than three letters are stemmed by NLTK's variant of Porter's algorithm. The stemmer changes results by tens of
// percent: scores with and without it must never be compared. TensorRT-LLM and Hugging Face's "evaluate" leave it off.
//
// Sources: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), and rouge_score's rouge_scorer.py,
// tokenize.py and scoring.py.
package rouge

// Score holds one kind of ROUGE for one pair of texts, each value between 0 and 1.
type Score struct {
	// Precision is the share of the prediction that is found in the reference.
	Precision float64 `json:"precision"`
	// Recall is the share of the reference that is found in the prediction.
	Recall float64 `json:"recall"`
	// FMeasure is the harmonic mean of both, the value that is usually reported.
	FMeasure float64 `json:"fmeasure"`
}

// Scores holds all four kinds for one pair of texts.
type Scores struct {
	// Rouge1 counts shared words, Rouge2 shared pairs of neighbouring words.
	Rouge1 Score `json:"rouge1"`
	Rouge2 Score `json:"rouge2"`
	// RougeL is the longest common subsequence of the whole texts.
	RougeL Score `json:"rougeL"`
	// RougeLsum is the union of the longest common subsequences of their lines; sentences are expected one a line.
	RougeLsum Score `json:"rougeLsum"`
}

// Options choose how texts are compared. The zero value is what TensorRT-LLM and Hugging Face's "evaluate" use.
type Options struct {
	// Stemmer reduces words to their stems first: "summaries" equals "summary".
	Stemmer bool
	// Sentences splits a text for ROUGE-Lsum, in place of its newlines: rouge-score's split_summaries, which takes NLTK's
	// sent_tokenize. That one's model is a download of its own and no part of this package.
	Sentences func(text string) []string
}

// Scorer computes scores. It keeps no state between calls and may be used by several goroutines at once.
type Scorer struct {
	options Options
}

// New returns a scorer.
func New(options Options) *Scorer {
	return &Scorer{options: options}
}

// Score compares a prediction with a reference; the other way round, precision and recall change places. Two empty texts, as
// texts without any token, score 0. Time grows with the product of the two lengths, 5000 words against 5000 taking some 50 ms,
// and memory with that of the two longest lines, one bit for each pair of words.
func (s *Scorer) Score(prediction, reference string) Scores {
	set := s.ScoreTypes(prediction, reference, DefaultTypes).Scores
	return Scores{set[0], set[1], set[2], set[3]}
}

// ScoreMulti compares a prediction with several references. Each kind takes the reference that gives it the highest
// F-measure, the first of equals. Without references every score is 0.
func (s *Scorer) ScoreMulti(prediction string, references ...string) Scores {
	var best Scores
	for i, reference := range references {
		scores := s.Score(prediction, reference)
		if i == 0 {
			best = scores
			continue
		}
		for _, kind := range kinds {
			if now, top := kind(&scores), kind(&best); now.FMeasure > top.FMeasure {
				*top = *now
			}
		}
	}
	return best
}

// kinds selects the scores in the order in which rouge-score treats them.
var kinds = []func(*Scores) *Score{
	func(s *Scores) *Score { return &s.Rouge1 },
	func(s *Scores) *Score { return &s.Rouge2 },
	func(s *Scores) *Score { return &s.RougeL },
	func(s *Scores) *Score { return &s.RougeLsum },
}

// newScore divides the number of hits by the sizes of both texts.
func newScore(hits, predicted, referred int) Score {
	score := Score{
		Precision: float64(hits) / float64(max(predicted, 1)),
		Recall:    float64(hits) / float64(max(referred, 1)),
	}
	if sum := score.Precision + score.Recall; sum > 0 {
		score.FMeasure = 2 * score.Precision * score.Recall / sum
	}
	return score
}

func scoreUnigrams(predicted, referred []int32) Score {
	return scoreNgrams(predicted, referred, func(tokens []int32) int64 { return int64(tokens[0]) }, 1)
}

func scoreBigrams(predicted, referred []int32) Score {
	key := func(tokens []int32) int64 { return int64(tokens[0])<<32 | int64(tokens[1]) }
	return scoreNgrams(predicted, referred, key, 2)
}

// scoreNgrams counts the n-grams that both texts hold, each as often as it occurs in the text that has fewer of it. key makes
// one number of the n tokens it is given.
func scoreNgrams[K comparable](predicted, referred []int32, key func([]int32) K, n int) Score {
	counts := make(map[K]int)
	total := func(tokens []int32) int { return max(len(tokens)-n+1, 0) }
	for i := range total(referred) {
		counts[key(referred[i:i+n])]++
	}
	hits := 0
	for i := range total(predicted) {
		k := key(predicted[i : i+n])
		if counts[k] > 0 {
			counts[k]--
			hits++
		}
	}
	return newScore(hits, total(predicted), total(referred))
}
