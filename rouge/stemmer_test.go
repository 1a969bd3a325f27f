package rouge_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/rouge"
)

// testdata/stems.tsv was made by scripts/rouge_goldens.py with nltk's PorterStemmer.
func TestStemEqualsNLTK(t *testing.T) {
	f, err := os.Open("testdata/stems.tsv")
	require.NoError(t, err)
	defer f.Close()
	words, changed := 0, 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		word, want, found := strings.Cut(lines.Text(), "\t")
		require.True(t, found)
		require.Equal(t, want, rouge.Stem(word), "stem of %q", word)
		words++
		if word != want {
			changed++
		}
	}
	require.NoError(t, lines.Err())
	require.Greater(t, words, 4000)
	require.Greater(t, changed, 2000)
}

// Every word of up to four of seven letters before each suffix, 200 000 words, so that every condition of every step is met and
// missed. testdata/stem_digests.tsv was made by scripts/rouge_goldens.py with nltk's PorterStemmer.
func TestStemEqualsNLTKOnAllShortStarts(t *testing.T) {
	starts := []string{""}
	for last := starts; len(last[0]) < 4; {
		var longer []string
		for _, start := range last {
			for _, letter := range "aeybtlw" {
				longer = append(longer, start+string(letter))
			}
		}
		starts, last = append(starts, longer...), longer
	}
	require.Len(t, starts, 1+7+49+343+2401)
	f, err := os.Open("testdata/stem_digests.tsv")
	require.NoError(t, err)
	defer f.Close()
	suffixes := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		suffix, want, found := strings.Cut(lines.Text(), "\t")
		require.True(t, found)
		digest := sha256.New()
		for _, start := range starts {
			fmt.Fprintln(digest, rouge.Stem(start+suffix))
		}
		require.Equal(t, want, hex.EncodeToString(digest.Sum(nil)), "words that end in %q", suffix)
		suffixes++
	}
	require.NoError(t, lines.Err())
	require.Greater(t, suffixes, 75)
}

// The examples of Porter's paper and of NLTK's deviations from it, step by step.
func TestStemByHand(t *testing.T) {
	for word, want := range map[string]string{
		"caresses": "caress", "ponies": "poni", "cats": "cat", "ties": "tie", "flies": "fli", "dies": "die", // 1a
		"feed": "feed", "agreed": "agre", "plastered": "plaster", "bled": "bled", "motoring": "motor", "sing": "sing", // 1b
		"conflated": "conflat", "sized": "size", "hopping": "hop", "falling": "fall", "filing": "file", "died": "die", "spied": "spi",
		"happy": "happi", "sky": "sky", "enjoy": "enjoy", "by": "by", "spy": "spi", // 1c
		"relational": "relat", "conditional": "condit", "hopefully": "hope", "geology": "geolog", "geologi": "geolog", // 2
		"triplicate": "triplic", "formative": "form", "goodness": "good", // 3
		"adoption": "adopt", "replacement": "replac", "million": "million", "homologous": "homolog", // 4
		"rate": "rate", "cease": "ceas", "controll": "control", "roll": "roll", // 5
		"dying": "die", "innings": "inning", "news": "news", "proceed": "proceed",
		"": "", "a": "a", "is": "is", "2020s": "2020",
	} {
		require.Equal(t, want, rouge.Stem(word), "stem of %q", word)
	}
}

// A long run of y must not take quadratic time: this would take minutes.
func TestStemOfALongRun(t *testing.T) {
	word := strings.Repeat("y", 1<<20)
	require.NotEmpty(t, rouge.Stem(word+"ing"))
}

func FuzzStem(f *testing.F) {
	for _, word := range []string{"", "y", "yed", "ied", "summaries", "logi", "alli", "eed", "aaaaion", "é"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		stem := rouge.Stem(word)
		require.LessOrEqual(t, len(stem), len(word)+1, "a stem is at most one e longer")
		require.Equal(t, word == "", stem == "")
	})
}

func ExampleStem() {
	for _, word := range []string{"summaries", "summary", "summarising", "news"} {
		fmt.Print(rouge.Stem(word), " ")
	}
	// Output: summari summari summaris news
}
