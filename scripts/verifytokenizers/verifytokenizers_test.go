package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/tokenizer"
)

func TestRead(t *testing.T) {
	s, err := read(nil, func(string) string { return "" })
	require.NoError(t, err)
	require.False(t, s.speed)
	require.Equal(t, 10<<20, s.bytes)
	require.Equal(t, filepath.Join("out", "tokenizers", "venv", "bin", "python"), s.python)
	require.Equal(t, subjects(), s.subjects)
	s, err = read([]string{"speed"}, func(name string) string {
		return map[string]string{"TOKENIZERS_ONLY": "Qwen3,SmolLM2", "TOKENIZERS_FUZZ": "3m"}[name]
	})
	require.NoError(t, err)
	require.True(t, s.speed)
	require.Equal(t, 3*time.Minute, s.fuzz)
	require.Len(t, s.subjects, 2)
	_, err = read([]string{"fast"}, func(name string) string { return map[string]string{"TOKENIZERS_ONLY": "Qwen9"}[name] })
	require.ErrorContains(t, err, `not ["fast"]`)
	require.ErrorContains(t, err, "Qwen9 names a tokenizer that is not in the list")
}

func TestCorpus(t *testing.T) {
	made := func(seed uint64) []string {
		return newCorpus(seed, []string{"real text"}, []string{"<s>"}).texts(1 << 18)
	}
	texts := made(3)
	require.Equal(t, texts, made(3))
	require.NotEqual(t, texts, made(4))
	all := strings.Join(texts, "")
	for _, part := range []string{"real", "<s>", "\u200d", "\r\n", "'s", "https://", "\u0301"} {
		require.Contains(t, all, part)
	}
	require.False(t, utf8.ValidString(all), "texts that are not UTF-8 are among them")
	require.GreaterOrEqual(t, len(newCorpus(1, []string{"a"}, nil).scripts), 100)
}

func TestShortest(t *testing.T) {
	s, err := shortest("one two é three four", func(s string) (bool, error) {
		return strings.Contains(s, "é") && strings.Contains(s, "f"), nil
	})
	require.NoError(t, err)
	require.Equal(t, "éf", s)
	_, err = shortest("ab", func(string) (bool, error) { return false, os.ErrClosed })
	require.ErrorIs(t, err, os.ErrClosed)
}

// The expected texts are bytes.decode("utf-8", "replace") of Python.
func TestLossy(t *testing.T) {
	for in, want := range map[string]string{
		"a": "a", "\xff": "\ufffd", "a\xe4\xb8b": "a\ufffdb", "\xf0\x9f\x98": "\ufffd", "\xc0\x80": "\ufffd\ufffd", "\xed\xa0\x80": "\ufffd\ufffd\ufffd", "é\x80\xf4\x90": "é\ufffd\ufffd\ufffd",
	} {
		require.Equal(t, want, lossy(in), "%q", in)
	}
}

func TestChunksAndRow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokenizer.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]},
		"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"decoder":{"type":"ByteLevel"}}`), 0o644))
	own, err := tokenizer.OpenFile(path)
	require.NoError(t, err)
	c := &comparison{own: own}
	s, err := c.chunks([]int32{2, 0, 1}, tokenizer.DecodeOptions{})
	require.NoError(t, err)
	require.Equal(t, "abab", s)
	_, err = c.chunks([]int32{9}, tokenizer.DecodeOptions{})
	require.ErrorIs(t, err, tokenizer.ErrUnknownID)
}

func TestSlowest(t *testing.T) {
	own, err := tokenizer.OpenFile(filepath.Join("..", "..", "tokenizer", "testdata", "hf_bbpe_llama3", "tokenizer.json"))
	require.NoError(t, err)
	name, mb, growth, err := slowest(own)
	require.NoError(t, err)
	require.NotEmpty(t, name)
	require.Positive(t, mb)
	require.Positive(t, growth)
}
