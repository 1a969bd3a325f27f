package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// factor is something that networks differ in.
type factor struct {
	name   string
	values []string
}

// factors of the networks that are built. The first six are those that the longer test has
// all combinations of.
var factors = []factor{
	{"form", []string{"cut", "native"}},
	{"family", []string{"llama", "mistral", "gpt", "nemotron"}},
	{"dtype", []string{"bfloat16", "float16", "float32"}},
	{"quantisation", []string{"none", "fp8", "fp8+kv", "int8", "int4", "awq"}},
	{"rank", []string{"1/1", "1/2", "2/2", "1/4", "2/4", "3/4", "4/4"}}, // of the tensor-parallel group
	{"stage", []string{"1/1", "1/2", "2/2"}},                            // of the pipeline

	{"gemm_plugin", []string{"off", "auto", "fp8"}},
	{"use_fused_mlp", []string{"off", "on"}},
	{"weights", []string{"inside", "inputs"}},
	{"multiple_profiles", []string{"off", "on"}},
	{"rope", []string{"none", "linear", "llama3", "yarn"}}, // scaling
	{"parallel_embedding", []string{"off", "rows", "columns"}},
	{"gather_context_logits", []string{"off", "on"}},
	{"bias", []string{"off", "on"}},
	{"logits_dtype", []string{"float32", "float16"}},
	{"max_beam_width", []string{"1", "2"}},
}

// everywhere is how many factors the longer test combines fully.
const everywhere = 6

// choice has the value of each factor, or of some.
type choice map[string]string

// rules say which values exclude each other; a factor that is not chosen yet excludes nothing.
var rules = []struct{ factor, value, other, allowed string }{
	// Collectives, and what a plugin alone has, need the plugins.
	{"form", "native", "rank", "1/1"},
	{"form", "native", "stage", "1/1"},
	{"form", "native", "gemm_plugin", "off"},
	{"form", "native", "use_fused_mlp", "off"},
	{"form", "native", "parallel_embedding", "off"},
	{"form", "native", "multiple_profiles", "off"},
	{"form", "native", "max_beam_width", "1"},
	{"form", "native", "quantisation", "none fp8 int8 int4 awq"},
	{"gemm_plugin", "fp8", "quantisation", "fp8 fp8+kv"},
	// The plugins for weights of few bits compute in 16 bits; FP8 is for models of 16 bits.
	{"dtype", "float32", "quantisation", "none"},
	{"gemm_plugin", "fp8", "dtype", "bfloat16 float16"},
	{"rank", "1/1", "parallel_embedding", "off"},
	// The others' MLPs have no gate.
	{"use_fused_mlp", "on", "family", "llama mistral"},
}

func (c choice) legal() bool {
	for _, r := range rules {
		other, chosen := c[r.other]
		if c[r.factor] == r.value && chosen && !slices.Contains(strings.Fields(r.allowed), other) {
			return false
		}
	}
	return true
}

// with is c and one choice more.
func (c choice) with(factor, value string) choice {
	more := choice{factor: value}
	for f, v := range c {
		if f != factor {
			more[f] = v
		}
	}
	return more
}

// String lists what is not the first value of its factor.
func (c choice) String() string {
	var parts []string
	for _, f := range factors {
		if v := c[f.name]; v != f.values[0] {
			parts = append(parts, strings.ReplaceAll(f.name+"="+v, "/", "of"))
		}
	}
	return strings.Join(parts, ",")
}

// pair is two values of two factors, by their places in factors.
type pair struct{ f, v, g, w int }

// pairs are the legal ones.
func pairs() map[pair]bool {
	all := map[pair]bool{}
	for f, x := range factors {
		for g := f + 1; g < len(factors); g++ {
			for v := range x.values {
				for w := range factors[g].values {
					if (choice{x.name: x.values[v], factors[g].name: factors[g].values[w]}).legal() {
						all[pair{f, v, g, w}] = true
					}
				}
			}
		}
	}
	return all
}

// covered are the pairs of a choice that are still open.
func (c choice) covered(open map[pair]bool) []pair {
	at := make([]int, len(factors))
	for i, f := range factors {
		at[i] = slices.Index(f.values, c[f.name])
	}
	var list []pair
	for f := range factors {
		for g := f + 1; g < len(factors); g++ {
			if p := (pair{f, at[f], g, at[g]}); open[p] {
				list = append(list, p)
			}
		}
	}
	return list
}

// pairwise are choices in which every legal pair of values occurs: each begins with an
// open pair, and every other factor gets the value that closes most of what is open.
func pairwise() []choice {
	open := pairs()
	var list []choice
	for f := range factors {
		for g := f + 1; g < len(factors); g++ {
			for v := range factors[f].values {
				for w := range factors[g].values {
					if !open[pair{f, v, g, w}] {
						continue
					}
					c := complete(choice{factors[f].name: factors[f].values[v], factors[g].name: factors[g].values[w]}, open)
					for _, p := range c.covered(open) {
						delete(open, p)
					}
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// complete chooses the other factors; nil where the rules leave none.
func complete(c choice, open map[pair]bool) choice {
	for i, f := range factors {
		if _, chosen := c[f.name]; chosen {
			continue
		}
		var best choice
		most := -1
		// Values take turns where none closes more than another.
		for n := range f.values {
			next := c.with(f.name, f.values[(n+len(open)+i)%len(f.values)])
			if closes := len(next.covered(open)); next.legal() && closes > most {
				best, most = next, closes
			}
		}
		if best == nil {
			return nil
		}
		c = best
	}
	return c
}

// combinations are all legal ones of the first factors; the others take turns.
func combinations() []choice {
	list := []choice{{}}
	for i, f := range factors {
		if i == everywhere {
			break
		}
		var longer []choice
		for _, c := range list {
			for _, v := range f.values {
				if next := c.with(f.name, v); next.legal() {
					longer = append(longer, next)
				}
			}
		}
		list = longer
	}
	var whole []choice
	for n, c := range list {
		for i := everywhere; i < len(factors); i++ {
			f := factors[i]
			for k := range f.values {
				// Steps of different length, so that the others meet in different pairs.
				if next := c.with(f.name, f.values[(k+n/(i-everywhere+1))%len(f.values)]); next.legal() {
					c = next
					break
				}
			}
		}
		whole = append(whole, c)
	}
	return whole
}

// TestPairwise: every legal pair of values occurs in some choice, and no illegal one does.
func TestPairwise(t *testing.T) {
	list, open := pairwise(), pairs()
	for _, c := range list {
		require.Len(t, c, len(factors))
		require.True(t, c.legal(), "%s", c)
		for _, p := range c.covered(open) {
			delete(open, p)
		}
	}
	for p := range open {
		t.Errorf("no choice has %s", fmt.Sprint(factors[p.f].name, " ", factors[p.f].values[p.v], " with ", factors[p.g].name, " ", factors[p.g].values[p.w]))
	}
	require.Less(t, len(list), 100)
	for _, c := range combinations() {
		require.Len(t, c, len(factors))
		require.True(t, c.legal(), "%s", c)
	}
	require.Greater(t, len(combinations()), 500)
	t.Logf("%d choices cover %d pairs; %d combinations", len(list), len(pairs()), len(combinations()))
}
