package main

import (
	"encoding/json"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/trtllm"
)

// statsKept is how many steps --iteration-stats tells of, the last ones.
const statsKept = 100_000

// statsOption lets an engine keep statistics for --iteration-stats.
func statsOption(c *cli.Context) []trtllm.Option {
	if c.String("iteration-stats") == "" {
		return nil
	}
	return []trtllm.Option{trtllm.WithIterationStats(statsKept)}
}

// writeStats writes a line of JSON about each step of an engine.
func writeStats(path string, engine *trtllm.Engine) error {
	return writeFile(path, func(w io.Writer) error {
		encoder := json.NewEncoder(w)
		for _, s := range engine.IterationStats() {
			if err := encoder.Encode(s); err != nil {
				return err
			}
		}
		return nil
	})
}
