package tokenizer_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

// goldenRow is a row of testdata/golden: fields that are missing have the default given in
// testdata/README.md.
type goldenRow struct {
	ID         string    `json:"id"`
	IDs        []int32   `json:"ids"`
	IDsSpecial *[]int32  `json:"ids_special"`
	IDsPlain   *[]int32  `json:"ids_plain"`
	IDsLossy   *[]int32  `json:"ids_lossy"`
	Dec        *string   `json:"dec"`
	DecSkip    *string   `json:"dec_skip"`
	Pieces     []string  `json:"pieces"`
	Norm       *string   `json:"norm"`
	IncMin     []int     `json:"inc_min"`
	Stream     []*string `json:"stream"`
	B64        string    `json:"b64"`
}

func readLines[T any](t testing.TB, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var out []T
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<24)
	for s.Scan() {
		var row T
		require.NoError(t, json.Unmarshal(s.Bytes(), &row), s.Text())
		out = append(out, row)
	}
	require.NoError(t, s.Err())
	require.NotEmpty(t, out, path)
	return out
}

type textRow struct{ ID, Tag, Text string }

func texts(t testing.TB) map[string]string {
	m := make(map[string]string)
	for _, r := range readLines[textRow](t, "testdata/strings.jsonl") {
		m[r.ID] = r.Text
	}
	return m
}

func or[T any](p *T, def T) T {
	if p == nil {
		return def
	}
	return *p
}

// openKind opens a testdata tokenizer; SentencePiece goldens have bos and eos as specials.
func openKind(t testing.TB, kind string) *tokenizer.Tokenizer {
	t.Helper()
	dir := filepath.Join("testdata", kind)
	if strings.HasPrefix(kind, "sp_") {
		dir = t.TempDir()
		data, err := os.ReadFile(filepath.Join("testdata", kind, "tokenizer.model"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.model"), data, 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer_config.json"),
			[]byte(`{"add_bos_token":true,"add_eos_token":true}`), 0o644))
	}
	tok, err := tokenizer.Open(dir)
	require.NoError(t, err)
	return tok
}

var goldenKinds = []string{"hf_bbpe_llama3", "hf_bpe_metaspace", "hf_unigram", "sp_bpe_bf", "sp_bpe_bf_noprefix", "sp_unigram"}

func encode(t testing.TB, tok *tokenizer.Tokenizer, text string, o tokenizer.EncodeOptions) []int32 {
	t.Helper()
	ids, err := tok.Encode(text, o)
	require.NoError(t, err)
	return ids
}

func decode(t testing.TB, tok *tokenizer.Tokenizer, ids []int32, skip bool) string {
	t.Helper()
	s, err := tok.Decode(ids, tokenizer.DecodeOptions{SkipSpecialTokens: skip})
	require.NoError(t, err)
	return s
}

func TestGoldenEncode(t *testing.T) {
	for _, kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			tok, text := openKind(t, kind), texts(t)
			hf := strings.HasPrefix(kind, "hf_")
			rows := readLines[goldenRow](t, "testdata/golden/"+kind+".jsonl")
			require.Len(t, rows, 90)
			for _, r := range rows {
				s, ok := text[r.ID]
				require.True(t, ok, r.ID)
				special := or(r.IDsSpecial, r.IDs)
				require.Equal(t, r.IDs, encode(t, tok, s, tokenizer.EncodeOptions{}), "%s ids of %q", r.ID, s)
				require.Equal(t, special, encode(t, tok, s, tokenizer.EncodeOptions{AddSpecialTokens: true}), "%s ids_special of %q", r.ID, s)
				plain := or(r.IDsPlain, r.IDs)
				require.Equal(t, plain, encode(t, tok, s, tokenizer.EncodeOptions{PlainSpecialTokens: true}), "%s ids_plain of %q", r.ID, s)
				if hf {
					require.Equal(t, or(r.Dec, s), decode(t, tok, special, false), "%s dec", r.ID)
					require.Equal(t, or(r.DecSkip, s), decode(t, tok, special, true), "%s dec_skip", r.ID)
				} else {
					require.Equal(t, or(r.DecSkip, s), decode(t, tok, r.IDs, true), "%s dec_skip", r.ID)
				}
				for i, p := range r.Pieces {
					got, ok := tok.Token(r.IDs[i])
					require.True(t, ok)
					require.Equal(t, p, got, "%s piece %d", r.ID, i)
				}
			}
		})
	}
}

func TestGoldenDecode(t *testing.T) {
	for _, kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			tok := openKind(t, kind)
			for i, r := range readLines[goldenRow](t, "testdata/golden/"+kind+".decode.jsonl") {
				require.NotNil(t, r.DecSkip)
				require.Equal(t, *r.DecSkip, decode(t, tok, r.IDs, true), "row %d dec_skip %v", i, r.IDs)
				if r.Dec != nil {
					require.Equal(t, *r.Dec, decode(t, tok, r.IDs, false), "row %d dec %v", i, r.IDs)
				}
				incremental(t, tok, r.IDs, *r.DecSkip, nil, nil)
			}
		})
	}
}

func TestGoldenInvalidUTF8(t *testing.T) {
	for _, kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			tok := openKind(t, kind)
			for _, r := range readLines[goldenRow](t, "testdata/golden/"+kind+".invalid.jsonl") {
				raw, err := base64.StdEncoding.DecodeString(r.B64)
				require.NoError(t, err)
				require.Equal(t, r.IDs, encode(t, tok, string(raw), tokenizer.EncodeOptions{}), r.ID)
			}
		})
	}
}

// incremental decodes one id at a time and checks README's rule: what was emitted is whole UTF-8, a
// prefix of the full text, at least as much as incMin says and as the library's own stream gave,
// and equal after flushing.
func incremental(t *testing.T, tok *tokenizer.Tokenizer, ids []int32, want string, incMin []int, stream []*string) {
	t.Helper()
	d := tok.NewDecoder(tokenizer.DecodeOptions{SkipSpecialTokens: true})
	got, library := "", 0
	for i, id := range ids {
		chunk, err := d.Add(id)
		require.NoError(t, err)
		require.True(t, utf8.ValidString(chunk), "chunk %d %q breaks a character", i, chunk)
		got += chunk
		require.True(t, strings.HasPrefix(want, got), "after id %d: %q is no prefix of %q", i, got, want)
		if incMin != nil {
			require.GreaterOrEqual(t, len(got), incMin[i], "after id %d of %v: %q", i, ids, got)
		}
		if stream != nil {
			library += len(or(stream[i], ""))
			require.GreaterOrEqual(t, len(got), library, "after id %d of %v: %q", i, ids, got)
		}
	}
	got += d.Flush()
	require.Equal(t, want, got)
	require.Empty(t, d.Flush(), "a flushed decoder has nothing left")
}

func TestGoldenIncremental(t *testing.T) {
	for _, kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			tok, text := openKind(t, kind), texts(t)
			checked := 0
			for _, r := range readLines[goldenRow](t, "testdata/golden/"+kind+".jsonl") {
				ids := r.IDs
				if strings.HasPrefix(kind, "hf_") {
					ids = or(r.IDsSpecial, r.IDs)
				}
				if kind == "hf_bpe_metaspace" {
					// The library's stream hands out runs of bytes that the next byte may make invalid.
					r.Stream = nil
				}
				incremental(t, tok, ids, or(r.DecSkip, text[r.ID]), r.IncMin, r.Stream)
				if r.IncMin != nil {
					require.Len(t, r.IncMin, len(ids))
					checked++
				}
			}
			require.Greater(t, checked, 50)
		})
	}
}

func TestOtherKindsAreRefusedByName(t *testing.T) {
	data, err := os.ReadFile("testdata/hf_bpe_metaspace/tokenizer.json")
	require.NoError(t, err)
	for name, change := range map[string][2]string{"dropout 0.1": {`"dropout":null`, `"dropout":0.1`},
		`"2.0"`: {`"version":"1.0"`, `"version":"2.0"`}, `model "BPX"`: {`"type":"BPE"`, `"type":"BPX"`}} {
		require.True(t, strings.Contains(string(data), change[0]), name)
		path := filepath.Join(t.TempDir(), "tokenizer.json")
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(data), change[0], change[1], 1)), 0o644))
		_, err = tokenizer.OpenFile(path)
		require.ErrorIs(t, err, tokenizer.ErrUnsupported, name)
		require.ErrorContains(t, err, name)
	}
}
