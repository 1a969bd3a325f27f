package main

import (
	"log/slog"
	"math"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

// runRequests makes the request of each prompt.
func runRequests(c *cli.Context, prompts []*prompt, logits wantedLogits, log *slog.Logger) ([]trtllm.Request, error) {
	stop, err := groupsFor(c, "stop-words", len(prompts))
	if err != nil {
		return nil, err
	}
	bad, err := groupsFor(c, "bad-words", len(prompts))
	if err != nil {
		return nil, err
	}
	priorities, err := valuesFor(c, "priority", len(prompts), 0.5, priorityOf)
	if err != nil {
		return nil, err
	}
	salts, err := valuesFor(c, "cache-salt", len(prompts), 0, saltOf)
	if err != nil {
		return nil, err
	}
	sampling, err := samplingOf(c, log)
	if err != nil {
		return nil, err
	}
	requests := make([]trtllm.Request, len(prompts))
	for i, p := range prompts {
		requests[i] = trtllm.Request{
			InputIDs: p.ids, MaxTokens: c.Int("max-output-len"), Sampling: sampling,
			StopWords: stop[i], TrimStopWords: c.Bool("trim-stop-words"), BadWords: bad[i],
			LogProbs:          c.Bool("return-log-probs") || c.IsSet("output-log-probs-npy") || c.IsSet("output-cum-log-probs-npy"),
			TopLogProbs:       c.Int("top-log-probs"),
			PromptLogProbs:    c.Bool("prompt-log-probs"),
			PromptTopLogProbs: c.Int("prompt-top-log-probs"),
			ContextLogits:     logits.context,
			GenerationLogits:  logits.generation,
			KeepSpecialTokens: true, // as upstream decodes
			CacheSalt:         salts[i],
			Priority:          priorities[i],
			Timeout:           c.Duration("timeout"),
			EndIDs:            endIDs(c),
		}
	}
	return requests, nil
}

// endIDs is upstream's end_id: 0 counts as not given, which is the tokenizer's, and a
// negative one never ends a sequence.
func endIDs(c *cli.Context) []int32 {
	switch id := c.Int("end-id"); {
	case id == 0:
		return nil
	case id < 0:
		return []int32{}
	default:
		return []int32{int32(id)}
	}
}

// groupsFor hands the n-th occurrence of a list flag to the n-th request; one
// alone serves all. Upstream drops the prompts that have no list.
func groupsFor(c *cli.Context, name string, n int) ([][]string, error) {
	groups := listGroups(c, name)
	switch len(groups) {
	case n:
		return groups, nil
	case 0:
		return make([][]string, n), nil
	case 1:
		all := make([][]string, n)
		for i := range all {
			all[i] = groups[0]
		}
		return all, nil
	default:
		return nil, usagef("--%s is given %d times for %d prompts; give it once for all, or once for each", name, len(groups), n)
	}
}

// valuesFor reads a flag of one value for all of n requests, or one for each.
func valuesFor[T any](c *cli.Context, name string, n int, otherwise T, parse func(string) (T, error)) ([]T, error) {
	given := listValues(c, name)
	if len(given) > 1 && len(given) != n {
		return nil, usagef("--%s has %d values for %d prompts; give one for all, or one for each", name, len(given), n)
	}
	values := make([]T, n)
	for i := range values {
		values[i] = otherwise
		if len(given) == 0 {
			continue
		}
		var err error
		if values[i], err = parse(given[min(i, len(given)-1)]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func priorityOf(text string) (float32, error) {
	p, err := strconv.ParseFloat(text, 32)
	if err != nil || !(p >= 0 && p <= 1) {
		return 0, usagef("--priority %q is no number from 0 to 1", text)
	}
	return max(float32(p), math.SmallestNonzeroFloat32), nil // 0 would be the default
}

func saltOf(text string) (uint64, error) {
	salt, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, usagef("--cache_salt %q is no whole number from 0 to 2^64-1", text)
	}
	return salt, nil
}
