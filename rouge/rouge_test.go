package rouge_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/rouge"
)

// pair is a line of testdata/pairs.jsonl, made by scripts/rouge_goldens.py with rouge-score 0.1.2.
type pair struct {
	Prediction, Reference string
	Plain, Stemmed        goldenScores
}

// goldenScores is [type][precision, recall, fmeasure].
type goldenScores [4][3]float64

func rows(s rouge.Scores) goldenScores {
	row := func(s rouge.Score) [3]float64 { return [3]float64{s.Precision, s.Recall, s.FMeasure} }
	return goldenScores{row(s.Rouge1), row(s.Rouge2), row(s.RougeL), row(s.RougeLsum)}
}

func loadPairs(t testing.TB) []pair {
	t.Helper()
	f, err := os.Open("testdata/pairs.jsonl")
	require.NoError(t, err)
	defer f.Close()
	var pairs []pair
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p pair
		require.NoError(t, json.Unmarshal(lines.Bytes(), &p))
		pairs = append(pairs, p)
	}
	require.NoError(t, lines.Err())
	return pairs
}

func TestScoreEqualsRougeScore(t *testing.T) {
	pairs := loadPairs(t)
	require.Greater(t, len(pairs), 550)
	plain, stemmed := rouge.New(rouge.Options{}), rouge.New(rouge.Options{Stemmer: true})
	differ := 0
	for i, p := range pairs {
		require.Equal(t, p.Plain, rows(plain.Score(p.Prediction, p.Reference)), "pair %d without stemmer: %q, %q", i, p.Prediction, p.Reference)
		require.Equal(t, p.Stemmed, rows(stemmed.Score(p.Prediction, p.Reference)), "pair %d with stemmer: %q, %q", i, p.Prediction, p.Reference)
		if p.Plain != p.Stemmed {
			differ++
		}
	}
	require.Greater(t, differ, 80, "the stemmer must matter for the comparison to mean anything")
}

// longText repeats the formula of scripts/rouge_goldens.py.
func longText(n, a, b int) string {
	var text strings.Builder
	for i := range n {
		end := " "
		if i%16 == 15 {
			end = "\n"
		}
		fmt.Fprintf(&text, "w%d%s", (a*i*i+b*i)%401, end)
	}
	return text.String()
}

// Five thousand words against as many, more than an article has: 300 lines against 300.
func TestLongTextsEqualRougeScore(t *testing.T) {
	data, err := os.ReadFile("testdata/long.json")
	require.NoError(t, err)
	var want goldenScores
	require.NoError(t, json.Unmarshal(data, &want))
	require.Equal(t, want, rows(rouge.New(rouge.Options{}).Score(longText(5200, 7, 2), longText(5000, 5, 3))))
	require.Positive(t, want[1][2], "the texts share pairs of words")
	require.Less(t, want[2][2], want[3][2], "and lines matter")
}

func TestScoreByHand(t *testing.T) {
	got := rouge.New(rouge.Options{}).Score("the cat sat", "the cat sat on the mat")
	require.Equal(t, rouge.Score{Precision: 1, Recall: 0.5, FMeasure: 2. / 3}, got.Rouge1)
	require.Equal(t, rouge.Score{Precision: 1, Recall: 0.4, FMeasure: got.Rouge2.FMeasure}, got.Rouge2)
	require.InDelta(t, 4./7, got.Rouge2.FMeasure, 1e-15)
	require.Equal(t, rouge.Score{Precision: 1, Recall: 0.5, FMeasure: 2. / 3}, got.RougeL)
	require.Equal(t, got.RougeL, got.RougeLsum)
}

// Lines may come in another order without loss for ROUGE-Lsum, unlike for ROUGE-L.
func TestLsumTakesLinesInAnyOrder(t *testing.T) {
	got := rouge.New(rouge.Options{}).Score("d e f\na b c", "a b c\nd e f")
	require.Equal(t, 1.0, got.RougeLsum.FMeasure)
	require.Equal(t, 0.5, got.RougeL.FMeasure)
}

func TestNothingScoresZero(t *testing.T) {
	s := rouge.New(rouge.Options{Stemmer: true})
	for _, p := range [][2]string{{"", ""}, {"", "a b"}, {"a b", ""}, {"?!", "a b"}, {"\n", "\n"}, {"日本", "日本"}} {
		require.Equal(t, rouge.Scores{}, s.Score(p[0], p[1]), "%q", p)
	}
}

func TestTokenize(t *testing.T) {
	plain, stemmed := rouge.New(rouge.Options{}), rouge.New(rouge.Options{Stemmer: true})
	for text, want := range map[string][]string{
		"":                       nil,
		" \t\n":                  nil,
		"Don't STOP-me_now 3.5%": {"don", "t", "stop", "me", "now", "3", "5"},
		"café":                   {"caf"},
		"İstanbul":               {"i", "stanbul"},
		"\u212aelvin":            {"kelvin"},
		"ab\xffcd":               {"ab", "cd"},
		"a\x00b":                 {"a", "b"},
	} {
		require.Equal(t, want, plain.Tokenize(text), "%q", text)
	}
	require.Equal(t, []string{"the", "was", "poni", "run"}, stemmed.Tokenize("The was ponies running"), "three letters stay")
}

func TestScoreMultiTakesTheBestOfEachKind(t *testing.T) {
	s := rouge.New(rouge.Options{})
	near, far := "a b c d", "b a"
	got := s.ScoreMulti("b a x", near, far)
	require.Equal(t, s.Score("b a x", far), got)
	mixed := s.ScoreMulti("a b c d e", "e d c b a", "a b")
	require.Equal(t, s.Score("a b c d e", "e d c b a").Rouge1, mixed.Rouge1)
	require.Equal(t, s.Score("a b c d e", "a b").Rouge2, mixed.Rouge2)
	require.Equal(t, rouge.Scores{}, s.ScoreMulti("a"))
}

func TestScorerIsSafeForSeveralGoroutines(t *testing.T) {
	s := rouge.New(rouge.Options{Stemmer: true})
	pairs := loadPairs(t)[:100]
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for _, p := range pairs {
				if rows(s.Score(p.Prediction, p.Reference)) != p.Stemmed {
					t.Errorf("%q and %q scored differently", p.Prediction, p.Reference)
				}
			}
		})
	}
	wait.Wait()
}

func TestJSONHasTheNamesOfRougeScore(t *testing.T) {
	text, err := json.Marshal(rouge.New(rouge.Options{}).Score("a", "a"))
	require.NoError(t, err)
	one := `{"precision":1,"recall":1,"fmeasure":1}`
	zero := `{"precision":0,"recall":0,"fmeasure":0}`
	require.Equal(t, `{"rouge1":`+one+`,"rouge2":`+zero+`,"rougeL":`+one+`,"rougeLsum":`+one+`}`, string(text))
}

func FuzzScore(f *testing.F) {
	f.Add("the cat", "a cat\nsat")
	f.Add("", "\n\n")
	f.Add("\xff\u212a\u0130", "yyyyied")
	f.Add("a b a b", "b a b a")
	s := rouge.New(rouge.Options{Stemmer: true})
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 2000 || len(b) > 2000 {
			return
		}
		forth, back := rows(s.Score(a, b)), rows(s.Score(b, a))
		for i, row := range forth {
			for _, v := range row {
				require.True(t, v >= 0 && v <= 1, "%v", forth)
			}
			if i < 3 { // the union of subsequences depends on the direction
				require.Equal(t, row[0], back[i][1], "precision is the recall of the swapped pair")
			}
		}
		self := s.Score(a, a)
		if len(s.Tokenize(a)) > 0 {
			require.Equal(t, 1.0, self.RougeLsum.FMeasure)
			require.Equal(t, 1.0, self.Rouge1.FMeasure)
		}
		for _, token := range s.Tokenize(a) {
			require.True(t, token != "" && utf8.ValidString(token))
		}
	})
}

func BenchmarkScore(b *testing.B) {
	s := rouge.New(rouge.Options{})
	text := strings.Repeat("the quick brown fox jumps over the lazy dog\n", 30)
	for b.Loop() {
		s.Score(text, text)
	}
}

func ExampleScorer_Score() {
	scorer := rouge.New(rouge.Options{})
	scores := scorer.Score("The ferry was stranded overnight.", "The ferry lay stranded until morning.")
	fmt.Printf("ROUGE-1 %.3f, ROUGE-L precision %.2f\n", scores.Rouge1.FMeasure, scores.RougeL.Precision)
	// Output: ROUGE-1 0.545, ROUGE-L precision 0.60
}

func Example() {
	scorer := rouge.New(rouge.Options{})
	var all []rouge.Scores
	for _, pair := range [][2]string{
		{"a ferry broke down", "the ferry broke down at night"},
		{"a frog was found", "students found a new frog"},
		{"the library reopens", "the library reopens with robots"},
	} {
		all = append(all, scorer.Score(pair[0], pair[1]))
	}
	total := rouge.Aggregate(all)
	fmt.Printf("rouge1: %.2f (mean %.2f)\n", 100*total.Median.Rouge1.FMeasure, 100*total.Mean.Rouge1.FMeasure)
	// Output: rouge1: 67.22 (mean 67.22)
}
