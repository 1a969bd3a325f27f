package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"hash/crc32"
	"os"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// componentRow is a row of testdata/components.jsonl.gz, which scripts/component_goldens.py wrote.
type componentRow struct {
	Kind      string          `json:"kind"`
	Component json.RawMessage `json:"component"`
	JSON      json.RawMessage `json:"json"`
	Cases     json.RawMessage `json:"cases"`
	Of        string          `json:"of"`
	CRC       uint32          `json:"crc"`
}

func componentRows(t *testing.T) []componentRow {
	f, err := os.Open("testdata/components.jsonl.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	s := bufio.NewScanner(z)
	s.Buffer(nil, 1<<24)
	var rows []componentRow
	for s.Scan() {
		var r componentRow
		require.NoError(t, json.Unmarshal(s.Bytes(), &r))
		rows = append(rows, r)
	}
	require.NoError(t, s.Err())
	return rows
}

// pieceCollector is a model that keeps the pieces.
type pieceCollector struct{ pieces []string }

func (c *pieceCollector) encode(dst []int32, piece string) ([]int32, error) {
	c.pieces = append(c.pieces, piece)
	return dst, nil
}

func (r componentRow) unpack(t *testing.T, cases any) {
	require.NoError(t, json.Unmarshal(r.Cases, cases))
	require.NotEmpty(t, cases)
}

func TestComponents(t *testing.T) {
	seen := make(map[string]int)
	for _, r := range componentRows(t) {
		if r.Kind == "tokenizer" {
			continue
		}
		seen[r.Kind]++
		name := r.Kind + " " + string(r.Component)
		switch r.Kind {
		case "normalizer":
			n, err := parseNormalizers(string(r.Component))
			require.NoError(t, err, name)
			var cases [][2]string
			r.unpack(t, &cases)
			for _, c := range cases {
				got, err := n.normalize(c[0])
				require.NoError(t, err, name)
				require.Equal(t, c[1], got, "%s: %q", name, c[0])
			}
		case "pre_tokenizer":
			checkPreTokenizer(t, name, r)
		case "decoder":
			checkDecoder(t, name, r)
		case "checksum":
			checkCharacters(t, name, r)
		}
	}
	require.Greater(t, seen["normalizer"], 20)
	require.Greater(t, seen["pre_tokenizer"], 70)
	require.Greater(t, seen["decoder"], 20)
	require.Greater(t, seen["checksum"], 12)
}

func TestNewMarksBelongToClusters(t *testing.T) {
	for text, want := range map[string]string{"a\u1AD7b": "a\u1AD7", "ſ\u0897\u0301\u1AE0x": "ſ\u0897\u0301\u1AE0", "\u1AD7a": "\u1AD7", "\n\u1AD7": "\n", "a": "a"} {
		cluster, rest, _ := firstCluster(text, -1)
		require.Equal(t, want, cluster)
		require.Equal(t, text, cluster+rest)
	}
}

// checkCharacters compares what a component makes of every character, by a checksum.
func checkCharacters(t *testing.T, name string, r componentRow) {
	var run func(s string) string
	if r.Of == "pre_tokenizer" {
		stages, byteLevel, err := parsePreTokenizers(string(r.Component))
		require.NoError(t, err)
		if byteLevel {
			stages = append(stages, spellBytes{})
		}
		run = func(s string) string {
			model := &pieceCollector{}
			_, err := (&pipeline{stages: stages, model: model}).encode(nil, s, true)
			require.NoError(t, err)
			return strings.Join(model.pieces, "\x01")
		}
	} else {
		n, err := parseNormalizers(string(r.Component))
		require.NoError(t, err)
		run = func(s string) string {
			out, err := n.normalize(s)
			require.NoError(t, err)
			return out
		}
	}
	crc := uint32(0)
	for _, part := range [][2]rune{{0, 0xD7FF}, {0xE000, 0x1FFFF}, {0x2F800, 0x2FA1F}, {0xE0000, 0xE01FF}} {
		for c := part[0]; c <= part[1]; c++ {
			out := run("a" + string(c) + "\u0316\u0301b")
			crc = crc32.Update(crc, crc32.IEEETable, append([]byte(out), 0))
		}
	}
	require.Equal(t, r.CRC, crc, name)
}

func checkPreTokenizer(t *testing.T, name string, r componentRow) {
	stages, byteLevel, err := parsePreTokenizers(string(r.Component))
	require.NoError(t, err, name)
	if byteLevel {
		stages = append(stages, spellBytes{})
	}
	var cases [][2]any
	r.unpack(t, &cases)
	for _, c := range cases {
		model := &pieceCollector{pieces: []string{}}
		_, err := (&pipeline{stages: stages, model: model}).encode(nil, c[0].(string), true)
		require.NoError(t, err, name)
		want := []string{}
		for _, p := range c[1].([]any) {
			if p != "" {
				want = append(want, p.(string))
			}
		}
		require.Equal(t, want, model.pieces, "%s: %q", name, c[0])
	}
}

func checkDecoder(t *testing.T, name string, r componentRow) {
	var cases [][2]json.RawMessage
	r.unpack(t, &cases)
	for _, c := range cases {
		var tokens []string
		var want string
		require.NoError(t, json.Unmarshal(c[0], &tokens))
		require.NoError(t, json.Unmarshal(c[1], &want))
		v := newVocabulary(len(tokens))
		for i, token := range tokens {
			require.NoError(t, v.add(token, int64(i), 100))
		}
		d, err := newHFDecoding(string(r.Component), v, nil)
		require.NoError(t, err, name)
		state := d.newState()
		var got []byte
		for id := range tokens {
			got = state.add(got, int32(id), true)
			require.True(t, strings.HasPrefix(want, string(got)), "%s: %q gives %q on the way to %q", name, tokens, got, want)
		}
		require.Equal(t, want, string(state.flush(got)), "%s: %q", name, tokens)
	}
}

func TestSmallTokenizers(t *testing.T) {
	cases := 0
	for _, r := range componentRows(t) {
		if r.Kind != "tokenizer" {
			continue
		}
		tok, err := parseHF(r.JSON, nil, nil)
		require.NoError(t, err, string(r.JSON))
		var list []struct {
			Text                        string
			IDs, Special, Plain, Limits []int32
			Dec, Skip                   string
			Stream                      []*string
		}
		require.NoError(t, json.Unmarshal(r.Cases, &list))
		for _, c := range list {
			cases++
			name := string(r.JSON[:min(len(r.JSON), 1500)])
			for _, e := range []struct {
				want []int32
				o    EncodeOptions
			}{{c.IDs, EncodeOptions{}}, {c.Special, EncodeOptions{AddSpecialTokens: true}}, {c.Plain, EncodeOptions{PlainSpecialTokens: true}},
				{c.Limits, EncodeOptions{AddSpecialTokens: true, FileLimits: true}}} {
				got, err := tok.Encode(c.Text, e.o)
				require.NoError(t, err, name)
				require.Equal(t, e.want, got, "%q %+v %s", c.Text, e.o, name)
			}
			text, err := tok.Decode(c.Special, DecodeOptions{})
			require.NoError(t, err)
			require.Equal(t, c.Dec, text, name)
			checkStream(t, tok, c.Special, c.Skip, c.Stream, name)
		}
	}
	require.Greater(t, cases, 120)
}

// checkStream decodes id by id: what came is whole characters, a prefix of the text, and at the end the text.
// Where the library's own stream was right so far, it is not far ahead: it shows runs of bytes that are not over.
func checkStream(t *testing.T, tok *Tokenizer, ids []int32, want string, stream []*string, name string) {
	d := tok.NewDecoder(DecodeOptions{SkipSpecialTokens: true})
	got, library := "", ""
	for i, id := range ids {
		chunk, err := d.Add(id)
		require.NoError(t, err)
		require.True(t, utf8.ValidString(chunk))
		got += chunk
		require.True(t, strings.HasPrefix(want, got), "%q is no prefix of %q: %s", got, want, name)
		if i < len(stream) && stream[i] != nil {
			library += *stream[i]
		}
	}
	require.Equal(t, want, got+d.Flush(), name)
	if strings.HasPrefix(want, library) && len(stream) == len(ids) {
		require.LessOrEqual(t, len(library), len(want))
	}
}

// TestLongTextsTakeLinearTime would not end within the test's time if any step were quadratic.
func TestLongTextsTakeLinearTime(t *testing.T) {
	for _, kind := range []string{"hf_bbpe_llama3", "hf_bpe_metaspace", "hf_unigram"} {
		tok, err := OpenFile("testdata/" + kind + "/tokenizer.json")
		require.NoError(t, err)
		for _, unit := range []string{"a", " ", "\x01", "a ", "日", "e\u0301", "\u0301", "▁", "<", "'"} {
			text := strings.Repeat(unit, 1<<19)
			ids, err := tok.Encode(text, EncodeOptions{})
			require.NoError(t, err)
			s, err := tok.Decode(ids, DecodeOptions{})
			require.NoError(t, err)
			if kind == "hf_bbpe_llama3" {
				require.Equal(t, text, s)
			}
		}
	}
}

func TestTokenizersAreSafeForConcurrentUse(t *testing.T) {
	for _, kind := range []string{"hf_bbpe_llama3", "hf_bpe_metaspace", "hf_unigram"} {
		tok, err := OpenFile("testdata/" + kind + "/tokenizer.json")
		require.NoError(t, err)
		text := strings.Repeat("Pluvou heastaitoun. 다노은 土金 👍🏽 <s>\n", 20)
		want, err := tok.Encode(text, EncodeOptions{})
		require.NoError(t, err)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for range 20 {
					ids, err := tok.Encode(text, EncodeOptions{})
					assert.NoError(t, err)
					assert.Equal(t, want, ids)
					_, err = tok.Decode(ids, DecodeOptions{})
					assert.NoError(t, err)
				}
			})
		}
		group.Wait()
	}
}
