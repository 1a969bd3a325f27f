package main

import (
	"bytes"
	"flag"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/trtgo/trtgo/build"
)

func TestProgressLine(t *testing.T) {
	require.Equal(t, "export: 0 B of 1.0 kB", progressLine("export", 0, 1000, 0))
	require.Equal(t, "export: 1.2 GB of 3.6 GB, 300.0 MB/s, 8s left", progressLine("export", 1_200_000_000, 3_600_000_000, 4*time.Second))
	require.Equal(t, "build: 2.0 kB of 2.0 kB, 1.0 kB/s, 0s left", progressLine("build", 2000, 2000, 2*time.Second))
}

// TestProgressWithoutTerminal has a line every period on the log, and none before
// the first is over, after --quiet, or at a log level above info.
func TestProgressWithoutTerminal(t *testing.T) {
	tests := []struct {
		name   string
		level  slog.Level
		period time.Duration
		want   int
	}{
		{"every line", slog.LevelInfo, 0, 2},
		{"too early", slog.LevelInfo, time.Hour, 0},
		{"warnings only", slog.LevelWarn, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			app := &cli.App{ErrWriter: &stderr}
			c := cli.NewContext(app, flag.NewFlagSet("export", flag.ContinueOnError), nil)
			c.Context = t.Context()
			p := newProgress(c, "export", slog.New(&lineHandler{w: &stderr, level: tt.level}))
			require.Equal(t, tt.level == slog.LevelInfo, p.log != nil)
			p.period = tt.period
			p.set(1000, 4000)
			p.set(4000, 4000)
			p.end()
			require.Equal(t, tt.want, bytes.Count(stderr.Bytes(), []byte("\n")), stderr.String())
			if tt.want > 0 {
				require.Regexp(t, `^export: 1\.0 kB of 4\.0 kB, .*/s, .* left\nexport: 4\.0 kB of 4\.0 kB, .*/s, 0s left\n$`, stderr.String())
			}
		})
	}
}

// TestPhases has lines of steps, of bytes, and of bytes whose number is not known; the period goes on over phases, which may be short.
func TestPhases(t *testing.T) {
	var stderr bytes.Buffer
	app := &cli.App{ErrWriter: &stderr}
	c := cli.NewContext(app, flag.NewFlagSet("build", flag.ContinueOnError), nil)
	c.Context = t.Context()
	p := &phases{c: c, log: slog.New(&lineHandler{w: &stderr, level: slog.LevelInfo})}
	p.end() // nothing was shown yet
	due := func(phase build.Phase) {
		p.last.lastLine = p.last.lastLine.Add(-2 * linePeriod)
		p.show(phase)
	}
	p.show(build.Phase{Name: "adding layers", Done: 1, Total: 242})
	require.Empty(t, stderr.String())
	due(build.Phase{Name: "adding layers", Done: 100, Total: 242})
	due(build.Phase{Rank: 1, Name: "writing the plan", Done: 3_200_000, Total: -1, Bytes: true})
	p.show(build.Phase{Rank: 1, Name: "writing the plan", Done: 3_300_000, Total: -1, Bytes: true})
	due(build.Phase{Rank: 1, Name: "writing weights", Done: 1000, Total: 4000, Bytes: true})
	p.end()
	require.Regexp(t, `^build: rank 0: adding layers: 100 of 242\nbuild: rank 1: writing the plan: 3\.2 MB\nbuild: rank 1: writing weights: 1\.0 kB of 4\.0 kB, .* left\n$`, stderr.String())
}

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 1_234_567_890: "1.2 GB", 5_000_000_000_000_000: "5.0 PB",
	} {
		require.Equal(t, want, humanBytes(n))
	}
}
