package rouge

import "strings"

// Stem reduces a lower-case English word to its stem, as nltk.stem.PorterStemmer does in its default mode: Porter's algorithm
// (Program 14.3, 1980) with NLTK's extensions. Characters other than a–z count as consonants. It stems words of any length;
// rouge-score itself, and [Scorer], leave words of up to three letters alone.
func Stem(word string) string {
	if stem, irregular := irregularStems[word]; irregular {
		return stem
	}
	if len(word) <= 2 {
		return word
	}
	word = stemPlural(word)
	word = stemPast(word)
	word = stemY(word)
	word = stemDouble(word)
	word = applyRules(word, step3)
	word = stemSuffix(word)
	return stemFinal(word)
}

var irregularStems = map[string]string{
	"sky": "sky", "skies": "sky",
	"dying": "die", "lying": "lie", "tying": "tie",
	"news":    "news",
	"innings": "inning", "inning": "inning",
	"outings": "outing", "outing": "outing",
	"cannings": "canning", "canning": "canning",
	"howe":    "howe",
	"proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}

// suffixRule replaces a suffix if what stands before it has a positive measure.
type suffixRule struct{ suffix, replacement string }

// Step 2 of the paper, with NLTK's bli, fulli and (apart from the measure) logi.
var step2 = []suffixRule{
	{"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"}, {"anci", "ance"}, {"izer", "ize"}, {"bli", "ble"},
	{"entli", "ent"}, {"eli", "e"}, {"ousli", "ous"}, {"ization", "ize"}, {"ation", "ate"},
	{"ator", "ate"}, {"alism", "al"}, {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"},
	{"aliti", "al"}, {"iviti", "ive"}, {"biliti", "ble"}, {"fulli", "ful"},
}

var step3 = []suffixRule{
	{"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"}, {"ical", "ic"}, {"ful", ""}, {"ness", ""},
}

// Step 4: these are removed where the measure exceeds 1; the order matters ("ement" before "ment" before "ent").
var step4 = []string{
	"al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
	"ous", "ive", "ize",
}

// applyRules applies the first rule whose suffix the word has. If its condition fails, no later rule is tried.
func applyRules(word string, rules []suffixRule) string {
	for _, rule := range rules {
		if stem, found := strings.CutSuffix(word, rule.suffix); found {
			if measure(stem) > 0 {
				return stem + rule.replacement
			}
			return word
		}
	}
	return word
}

// stemPlural is step 1a.
func stemPlural(word string) string {
	switch {
	case strings.HasSuffix(word, "ies") && len(word) == 4: // NLTK: dies, lies
		return word[:len(word)-1]
	case strings.HasSuffix(word, "sses"), strings.HasSuffix(word, "ies"):
		return word[:len(word)-2]
	case strings.HasSuffix(word, "ss"):
		return word
	}
	return strings.TrimSuffix(word, "s")
}

// stemPast is step 1b: -eed, -ed, -ing, and what has to be mended after them.
func stemPast(word string) string {
	if stem, found := strings.CutSuffix(word, "ied"); found { // NLTK: died, spied
		if len(word) == 4 {
			return stem + "ie"
		}
		return stem + "i"
	}
	if stem, found := strings.CutSuffix(word, "eed"); found {
		if measure(stem) > 0 {
			return stem + "ee"
		}
		return word
	}
	stem, found := strings.CutSuffix(word, "ed")
	if !found {
		stem, found = strings.CutSuffix(word, "ing")
	}
	if !found || !containsVowel(stem) {
		return word
	}
	switch {
	case strings.HasSuffix(stem, "at"), strings.HasSuffix(stem, "bl"), strings.HasSuffix(stem, "iz"):
		return stem + "e"
	case endsDoubleConsonant(stem):
		if last := stem[len(stem)-1]; last != 'l' && last != 's' && last != 'z' {
			return stem[:len(stem)-1]
		}
	case measure(stem) == 1 && endsCVC(stem):
		return stem + "e"
	}
	return stem
}

// stemY is step 1c: NLTK turns y into i after a consonant only, and not in words of two letters.
func stemY(word string) string {
	stem, found := strings.CutSuffix(word, "y")
	if found && len(stem) > 1 && isConsonant(stem, len(stem)-1) {
		return stem + "i"
	}
	return word
}

// stemDouble is step 2: double suffixes.
func stemDouble(word string) string {
	// NLTK counts the l of logi to the stem, so that "geo" and "theo" work like "philo".
	if strings.HasSuffix(word, "logi") {
		if measure(word[:len(word)-3]) > 0 {
			return word[:len(word)-1]
		}
		return word
	}
	// NLTK takes the result of alli through the step once more: conditionalli, conditional, condition.
	if stem, found := strings.CutSuffix(word, "alli"); found && measure(stem) > 0 {
		word = stem + "al"
	}
	return applyRules(word, step2)
}

// stemSuffix is step 4.
func stemSuffix(word string) string {
	for _, suffix := range step4 {
		stem, found := strings.CutSuffix(word, suffix)
		if !found {
			continue
		}
		if measure(stem) <= 1 {
			return word
		}
		if suffix == "ion" && stem[len(stem)-1] != 's' && stem[len(stem)-1] != 't' {
			return word
		}
		return stem
	}
	return word
}

// stemFinal is step 5: a final e, and one of two final l.
func stemFinal(word string) string {
	if stem, found := strings.CutSuffix(word, "e"); found {
		if m := measure(stem); m > 1 || m == 1 && !endsCVC(stem) {
			word = stem
		}
	}
	if strings.HasSuffix(word, "ll") && measure(word[:len(word)-1]) > 1 {
		return word[:len(word)-1]
	}
	return word
}

// isVowelLetter does not count y.
func isVowelLetter(c byte) bool {
	return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u'
}

// nextConsonant tells whether c is a consonant, given whether the letter before it is. A y is one unless it follows one.
func nextConsonant(c byte, first, previous bool) bool {
	if c == 'y' {
		return first || !previous
	}
	return !isVowelLetter(c)
}

// isConsonant tells whether the i-th letter is a consonant; only a run of y needs a look back.
func isConsonant(word string, i int) bool {
	start := i
	for start > 0 && word[start] == 'y' {
		start--
	}
	consonant := nextConsonant(word[start], true, false)
	for at := start + 1; at <= i; at++ {
		consonant = nextConsonant(word[at], false, consonant)
	}
	return consonant
}

// measure is the paper's m: how many times a vowel is followed by a consonant.
func measure(stem string) int {
	m := 0
	previous := true
	for i := range len(stem) {
		consonant := nextConsonant(stem[i], i == 0, previous)
		if consonant && !previous {
			m++
		}
		previous = consonant
	}
	return m
}

func containsVowel(stem string) bool {
	previous := true
	for i := range len(stem) {
		if previous = nextConsonant(stem[i], i == 0, previous); !previous {
			return true
		}
	}
	return false
}

// endsDoubleConsonant is the paper's condition *d.
func endsDoubleConsonant(word string) bool {
	n := len(word)
	return n >= 2 && word[n-1] == word[n-2] && isConsonant(word, n-1)
}

// endsCVC is the paper's condition *o, with NLTK's addition for words of two letters.
func endsCVC(word string) bool {
	n := len(word)
	if n == 2 {
		return !isConsonant(word, 0) && isConsonant(word, 1)
	}
	return n >= 3 && isConsonant(word, n-3) && !isConsonant(word, n-2) && isConsonant(word, n-1) &&
		word[n-1] != 'w' && word[n-1] != 'x' && word[n-1] != 'y'
}
