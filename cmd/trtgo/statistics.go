package main

import (
	"encoding/json"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

// statsKept is how many steps --iteration-stats and --request-stats tell of, the last ones.
const statsKept = 100_000

// statsOptions let an engine keep the statistics that are asked for.
func statsOptions(c *cli.Context) []trtllm.Option {
	var options []trtllm.Option
	if c.String("iteration-stats") != "" {
		options = append(options, trtllm.WithIterationStats(statsKept))
	}
	if c.String("request-stats") != "" {
		options = append(options, trtllm.WithRequestStats(statsKept))
	}
	return options
}

// writeLines writes each value as a line of JSON.
func writeLines[T any](path string, values []T) error {
	return writeFile(path, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		for _, v := range values {
			if err := encoder.Encode(v); err != nil {
				return err
			}
		}
		return nil
	})
}
