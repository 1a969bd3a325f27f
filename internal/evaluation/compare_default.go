package evaluation

import _ "embed"

//go:embed compare_sample.txt
var sampleText string

// SampleText is a short text of several kinds (a story, facts, code, numbers, other languages), for comparisons without a text of
// their own.
func SampleText() Text { return Text{Name: "the sample text", Content: sampleText} }
