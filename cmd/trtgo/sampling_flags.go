package main

import (
	"log/slog"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

// samplingFlags choose tokens; names, defaults and meaning are upstream's where it has them.
func samplingFlags() []cli.Flag {
	const category = "sampling"
	flags := []cli.Flag{
		&cli.Float64Flag{Name: "temperature", Value: 1, Usage: "divides the logits; 0 is greedy; has no effect with --top-k 1, unless there are beams"},
		&cli.IntFlag{Name: "top-k", Value: 1, Usage: "draw from the k best tokens; 1 is greedy, 0 is all"},
		&cli.Float64Flag{Name: "top-p", Usage: "draw from the best tokens that together have this probability; 0 is all; has no effect with --top-k 1"},
		&cli.Float64Flag{Name: "top-p-decay", Value: 1, Usage: "multiplies --top-p after each token"},
		&cli.Float64Flag{Name: "top-p-min", DefaultText: "1e-6", Usage: "--top-p-decay brings --top-p down to this"},
		&cli.StringFlag{Name: "top-p-reset-ids", DefaultText: "none", Usage: "tokens, 1,2,3, after which --top-p is as at first"},
		&cli.Float64Flag{Name: "min-p", Usage: "leave out tokens below this share of the best one's probability; has no effect with --top-k 1"},
		&cli.IntFlag{Name: "random-seed", Usage: "seed of drawing (and of summarize's order)"},
		&cli.IntFlag{Name: "min-tokens", Usage: "tokens before which neither end id nor stop word ends a sequence"},
		&cli.Float64Flag{Name: "repetition-penalty", Value: 1, Usage: "divides positive and multiplies negative logits of tokens already there, in prompt or output"},
		&cli.Float64Flag{Name: "presence-penalty", Usage: "taken once from logits of tokens already there, in prompt or output"},
		&cli.Float64Flag{Name: "frequency-penalty", Usage: "taken from logits of tokens already there for each occurrence"},
		&cli.IntFlag{Name: "prompt-ignore-length", Usage: "tokens at the prompt's beginning that --presence_penalty and --frequency_penalty do not count"},
		&cli.IntFlag{Name: "no-repeat-ngram-size", DefaultText: "none", Usage: "no n-gram of this size twice"},
		&cli.StringSliceFlag{Name: "logit-bias", Usage: "ID=VALUE, added to a token's logit; -inf forbids it; several after one flag, or repeated"},
		&cli.IntFlag{Name: "num-return-sequences", DefaultText: "1, with beams all of them", Usage: "sequences for each prompt"},
		&cli.IntFlag{Name: "end-id", DefaultText: "the tokenizer's", Usage: "token that ends a sequence; 0 counts as not given, -1 ends none"},
		&cli.StringSliceFlag{Name: "stop-words", Usage: "words that end a sequence; run's n-th occurrence of the flag is for the n-th prompt, one alone for all"},
		&cli.StringSliceFlag{Name: "bad-words", Usage: "words never generated; occurrences as with --stop-words"},
		&cli.BoolFlag{Name: "streaming", Usage: "print text as it comes; beams come at their end"},
	}
	return append(inCategory(category, append(flags, beamFlags()...)),
		&cli.IntFlag{Name: "streaming-interval", Value: 5, Usage: "taken; text is printed as soon as it is there", Category: upstreamCategory})
}

func beamFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "num-beams", Value: 1, Usage: "beam search with this many beams, instead of drawing; the best comes first"},
		&cli.Float64Flag{Name: "length-penalty", Value: 1, Usage: "a finished beam's score is its log-prob divided by its length to this power; above 0 favours long ones"},
		&cli.IntFlag{Name: "early-stopping", Value: 1, Usage: "1: end with --num-beams finished beams; 0: when none can become better at the present length; other: at any length"},
		&cli.Float64Flag{Name: "beam-search-diversity-rate", Usage: "favours candidates from different beams"},
	}
}

func checkSamplingFlags(c *cli.Context) error {
	return firstError(
		atLeast(c, "top-k", 0),
		atLeast(c, "num-return-sequences", 0),
		atLeast(c, "no-repeat-ngram-size", 0),
		atLeast(c, "min-tokens", 0),
		atLeast(c, "prompt-ignore-length", 0),
		between(c, "temperature", 0, math.MaxFloat32),
		between(c, "top-p", 0, 1),
		checkTopPDecay(c),
		between(c, "top-p-min", 0, 1),
		between(c, "min-p", 0, 1),
		checkEndID(c),
		checkBeamFlags(c),
	)
}

func checkTopPDecay(c *cli.Context) error {
	if d := c.Float64("top-p-decay"); !(d > 0 && d <= 1) {
		return usagef("--top-p-decay is %v, must be above 0 and at most 1", d)
	}
	return nil
}

func checkBeamFlags(c *cli.Context) error {
	beams, sequences := c.Int("num-beams"), c.Int("num-return-sequences")
	if beams > 1 && sequences > beams {
		return usagef("--num_return_sequences is %d, must be at most --num_beams %d", sequences, beams)
	}
	if beams > 1 && temperatureOf(c) == 0 {
		return usagef("--temperature is %v, must be above 0 with --num_beams %d", c.Float64("temperature"), beams)
	}
	return firstError(
		atLeast(c, "num-beams", 1),
		between(c, "length-penalty", -math.MaxFloat32, math.MaxFloat32),
		between(c, "beam-search-diversity-rate", 0, math.MaxFloat32),
	)
}

// checkEndID refuses what is no token of any model.
func checkEndID(c *cli.Context) error {
	if id := c.Int("end-id"); id < -1 || id > math.MaxInt32 {
		return usagef("--end_id is %d, must be a token, or -1 for none", id)
	}
	return nil
}

// samplingOf gives the flags' sampling.
func samplingOf(c *cli.Context, log *slog.Logger) (trtllm.Sampling, error) {
	warnWithoutEffect(c, log)
	s := trtllm.Sampling{
		NumReturnSequences: sequencesOf(c),
		MinTokens:          c.Int("min-tokens"),
		RepetitionPenalty:  float32(c.Float64("repetition-penalty")),
		PresencePenalty:    float32(c.Float64("presence-penalty")),
		FrequencyPenalty:   float32(c.Float64("frequency-penalty")),
		PromptIgnoreLength: c.Int("prompt-ignore-length"),
		NoRepeatNgramSize:  c.Int("no-repeat-ngram-size"),
	}
	var err error
	if s.Bias, err = logitBias(c); err != nil {
		return s, err
	}
	reset, err := topPResetIDs(c)
	if err != nil {
		return s, err
	}
	switch {
	case c.Int("num-beams") > 1:
		setBeams(c, &s)
	case c.Int("top-k") == 1 || temperatureOf(c) == 0:
		s.TopK = 1
	default:
		setDrawing(c, &s)
		s.TopPResetIDs = reset
	}
	return s, nil
}

// temperatureOf is 0 for what a float32 cannot tell from 0: greedy, as upstream's
// division by almost nothing is, and not the API's zero.
func temperatureOf(c *cli.Context) float32 { return float32(c.Float64("temperature")) }

// topPResetIDs reads 1,2,3.
func topPResetIDs(c *cli.Context) ([]int32, error) {
	list := c.String("top-p-reset-ids")
	if list == "" {
		return nil, nil
	}
	return parseIDs("top-p-reset-ids", list)
}

func setBeams(c *cli.Context, s *trtllm.Sampling) {
	early := c.Int("early-stopping")
	s.Temperature = temperatureOf(c)
	s.BeamWidth, s.EarlyStopping = c.Int("num-beams"), &early
	s.LengthPenalty = float32(c.Float64("length-penalty"))
	s.BeamSearchDiversityRate = float32(c.Float64("beam-search-diversity-rate"))
}

func setDrawing(c *cli.Context, s *trtllm.Sampling) {
	s.TopK, s.Seed = c.Int("top-k"), uint64(c.Int("random-seed"))
	s.Temperature = temperatureOf(c)
	s.TopP, s.MinP = float32(c.Float64("top-p")), float32(c.Float64("min-p"))
	s.TopPDecay, s.TopPMin = float32(c.Float64("top-p-decay")), float32(c.Float64("top-p-min"))
}

// warnWithoutEffect names the flags that do nothing beside the others. As upstream,
// top_k is 1 unless given, so temperature or top_p alone stays greedy.
func warnWithoutEffect(c *cli.Context, log *slog.Logger) {
	beams := c.Int("num-beams")
	drawing := []string{"top-p", "top-p-decay", "top-p-min", "top-p-reset-ids", "min-p"}
	switch {
	case beams > 1:
		for _, name := range append(drawing, "top-k") {
			if c.IsSet(name) {
				log.Warn("--" + name + " has no effect with --num_beams " + strconv.Itoa(beams) + ": beam search does not draw")
			}
		}
		return
	case c.Int("top-k") == 1:
		for _, name := range append([]string{"temperature"}, drawing...) {
			if c.IsSet(name) {
				log.Warn("--" + name + " has no effect while --top_k is 1 (greedy); add --top_k 0 to draw from all tokens")
			}
		}
	case temperatureOf(c) == 0:
		for _, name := range append([]string{"top-k"}, drawing...) {
			if c.IsSet(name) {
				log.Warn("--" + name + " has no effect while --temperature is 0 (greedy)")
			}
		}
	case c.Float64("top-p") == 0 || c.Float64("top-p") == 1:
		for _, name := range []string{"top-p-decay", "top-p-min", "top-p-reset-ids"} {
			if c.IsSet(name) && (name != "top-p-decay" || c.Float64("top-p") == 0) {
				log.Warn("--" + name + " has no effect without --top_p")
			}
		}
	}
	for _, name := range []string{"length-penalty", "early-stopping", "beam-search-diversity-rate"} {
		if c.IsSet(name) {
			log.Warn("--" + name + " has no effect without --num_beams")
		}
	}
}

// logitBias reads ID=VALUE.
func logitBias(c *cli.Context) (map[int32]float32, error) {
	var bias map[int32]float32
	for _, entry := range listValues(c, "logit-bias") {
		token, value, ok := strings.Cut(entry, "=")
		id, idErr := strconv.ParseInt(token, 10, 32)
		v, err := strconv.ParseFloat(value, 32)
		if !ok || idErr != nil || id < 0 || err != nil || math.IsNaN(v) || math.IsInf(v, 1) {
			return nil, usagef("--logit_bias %q is not ID=VALUE, a token and a number or -inf", entry)
		}
		if bias == nil {
			bias = map[int32]float32{}
		}
		bias[int32(id)] = float32(v)
	}
	return bias, nil
}

// sequencesOf is how many sequences a prompt gets.
func sequencesOf(c *cli.Context) int {
	if n := c.Int("num-return-sequences"); n > 0 {
		return n
	}
	return max(c.Int("num-beams"), 1)
}

// inCategory puts flags under a heading of help.
func inCategory(category string, flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Category = category
		case *cli.StringSliceFlag:
			f.Category = category
		case *cli.IntFlag:
			f.Category = category
		case *cli.Float64Flag:
			f.Category = category
		case *cli.BoolFlag:
			f.Category = category
		case *cli.DurationFlag:
			f.Category = category
		}
	}
	return flags
}
