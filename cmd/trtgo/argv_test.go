package main

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"
)

// argvApp is an app with every kind of flag at every level.
func argvApp() *cli.App {
	app := &cli.App{
		Name: "trtgo", Writer: io.Discard, ErrWriter: io.Discard, DisableSliceFlagSeparator: true,
		HideHelpCommand: true,
		Flags:           []cli.Flag{&cli.StringFlag{Name: "top"}},
		Commands: []*cli.Command{
			{
				Name: "run",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "engine-dir"}, &cli.StringSliceFlag{Name: "input-text"},
					&cli.StringSliceFlag{Name: "stop-words"}, &cli.BoolFlag{Name: "streaming"},
					&cli.IntFlag{Name: "max-batch-size"}, &cli.IntFlag{Name: "max-beam-width"},
					&cli.StringFlag{Name: "output-dir", Aliases: []string{"o"}}, &cli.IntFlag{Name: "end-id"},
					&cli.Float64Flag{Name: "temperature"}, &cli.DurationFlag{Name: "timeout"},
					&cli.BoolFlag{Name: "reuse", Value: true}, &cli.BoolFlag{Name: "no-reuse"}, &cli.BoolFlag{Name: "no-end-id"},
				},
			},
			{
				Name: "build",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "gpt-attention-plugin"}, &cli.IntFlag{Name: "max-batch-size"},
				},
			},
			{Name: "eval", Subcommands: []*cli.Command{{Name: "rouge", Flags: []cli.Flag{&cli.StringFlag{Name: "input"}}}}},
		},
	}
	app.Setup()
	return app
}

func TestNormalizeArgs(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"nothing", nil, []string{"trtgo"}},
		{"underscores in names only", []string{"run", "--engine_dir", "a_b"}, []string{"trtgo", "run", "--engine-dir=a_b"}},
		{"underscores with equals", []string{"run", "--engine_dir=a_b=c_d"}, []string{"trtgo", "run", "--engine-dir=a_b=c_d"}},
		{"flags after operands", []string{"run", "x", "--streaming", "y", "-o", "d"}, []string{"trtgo", "run", "--streaming=true", "--output-dir=d", "--", "x", "y"}},
		{"upstream's list", []string{"run", "--input_text", "a, b", "c", "--streaming"}, []string{"trtgo", "run", "--input-text=a, b\x00c", "--streaming=true"}},
		{"repeated lists stay groups", []string{"run", "--stop_words", "a", "b", "--stop_words", "c"}, []string{"trtgo", "run", "--stop-words=a\x00b", "--stop-words=c"}},
		{"list with equals takes one", []string{"run", "--input_text=a", "b"}, []string{"trtgo", "run", "--input-text=a", "--", "b"}},
		{"empty value", []string{"run", "--input_text", ""}, []string{"trtgo", "run", "--input-text="}},
		{"text that begins with a dash", []string{"run", "--input_text", "- one item", "-5 degrees"}, []string{"trtgo", "run", "--input-text=- one item\x00-5 degrees"}},
		{"negative number", []string{"run", "--end_id", "-1"}, []string{"trtgo", "run", "--end-id=-1"}},
		{"bare dash is a value", []string{"run", "--engine-dir", "-"}, []string{"trtgo", "run", "--engine-dir=-"}},
		{"double dash", []string{"run", "--", "--streaming"}, []string{"trtgo", "run", "--", "--streaming"}},
		{"double dash ends a list", []string{"run", "--input_text", "a", "--", "b"}, []string{"trtgo", "run", "--input-text=a", "--", "b"}},
		{"switch with value", []string{"run", "--streaming=false"}, []string{"trtgo", "run", "--streaming=false"}},
		{"pair of switches", []string{"run", "--reuse", "--no_reuse", "--no-reuse=false"}, []string{"trtgo", "run", "--reuse=true", "--reuse=false", "--reuse=true"}},
		{"no pair", []string{"run", "--no_end_id"}, []string{"trtgo", "run", "--no-end-id=true"}},
		{"flag of the program", []string{"--top", "x", "run", "--streaming"}, []string{"trtgo", "--top=x", "run", "--streaming=true"}},
		{"sub-command", []string{"eval", "rouge", "--input", "f"}, []string{"trtgo", "eval", "rouge", "--input=f"}},
		{"help", []string{"run", "-h"}, []string{"trtgo", "run", "--help=true"}},
		{"several names of a flag are one", []string{"run", "-o", "a", "--output_dir", "b"}, []string{"trtgo", "run", "--output-dir=a", "--output-dir=b"}},
		{"integers are decimal", []string{"run", "--max_batch_size", "010", "--end_id=+7"}, []string{"trtgo", "run", "--max-batch-size=10", "--end-id=7"}},
		{"numbers below zero", []string{"run", "--temperature", "-.5", "--end-id=-1"}, []string{"trtgo", "run", "--temperature=-.5", "--end-id=-1"}},
		{"underscores and commas of values", []string{"run", "--input-text", "a_b, c_d", "--engine_dir=x,y_z"}, []string{"trtgo", "run", "--input-text=a_b, c_d", "--engine-dir=x,y_z"}},
		{"text with a dash and an equals sign", []string{"run", "--input-text=--engine_dir=x"}, []string{"trtgo", "run", "--input-text=--engine_dir=x"}},
		{"flag's name as text", []string{"run", "--input_text", "say --streaming", "--streaming"}, []string{"trtgo", "run", "--input-text=say --streaming", "--streaming=true"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := normalizeArgs(argvApp(), append([]string{"trtgo"}, tt.args...))
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestNormalizeArgsRefuses(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown command", []string{"frobnicate"}, `unknown command "frobnicate"; commands are run, build, eval`},
		{"unknown sub-command", []string{"eval", "blue"}, `unknown command "blue"; commands are rouge`},
		{"unknown flag", []string{"run", "--colour", "x"}, "unknown flag --colour (--help lists the flags)"},
		{"shortened flag", []string{"run", "--max_batch", "4"}, "unknown flag --max_batch; flags are not shortened: write --max-batch-size"},
		{"ambiguous", []string{"run", "--max", "4"}, "unknown flag --max; flags are not shortened: write --max-batch-size or --max-beam-width"},
		{"missing value", []string{"run", "--engine_dir"}, "--engine-dir needs a value (a value that begins with a dash is written --engine-dir=VALUE)"},
		{"flag for a value", []string{"run", "--engine_dir", "--streaming"}, "--engine-dir needs a value (a value that begins with a dash is written --engine-dir=VALUE)"},
		{"list without values", []string{"run", "--input_text", "--streaming"}, "--input-text needs a value (a value that begins with a dash is written --input-text=VALUE)"},
		{"three dashes", []string{"run", "---streaming"}, "unknown flag ---streaming; flags are not shortened: write --streaming"},
		{"switch with a strange value", []string{"run", "--streaming=maybe"}, `--streaming is a switch: its value can be true or false, not "maybe"`},
		{"no whole number", []string{"run", "--max_batch_size", "4.5"}, `--max-batch-size "4.5" is not a whole number`},
		{"no decimal number", []string{"run", "--max_batch_size", "0x10"}, `--max-batch-size "0x10" is not a whole number`},
		{"no number", []string{"run", "--temperature", "hot"}, `--temperature "hot" is not a number`},
		{"no time", []string{"run", "--timeout", "5"}, `--timeout "5" is not a time like 90s or 1m30s`},
		{"abbreviated with a value", []string{"run", "--max_batch=4"}, "unknown flag --max_batch; flags are not shortened: write --max-batch-size"},
		{"gone from trtllm-build", []string{"build", "--builder_opt", "3"}, "--builder_opt is gone from TensorRT-LLM 1.2: nothing took its place"},
		{"gone only from trtllm-build", []string{"run", "--builder_opt", "3"}, "unknown flag --builder_opt (--help lists the flags)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := normalizeArgs(argvApp(), append([]string{"trtgo"}, tt.args...))
			require.EqualError(t, err, tt.want)
			var usage *usageError
			require.True(t, errors.As(err, &usage))
		})
	}
}

func TestListGroupsSurviveParsing(t *testing.T) {
	app := argvApp()
	var groups [][]string
	var values []string
	app.Commands[0].Action = func(c *cli.Context) error {
		groups, values = listGroups(c, "stop-words"), listValues(c, "input-text")
		return nil
	}
	argv, err := normalizeArgs(app, []string{"trtgo", "run", "--stop_words", "a,b", "c", "--stop_words", "d", "--input_text", "Hello, world", "--input_text", "x"})
	require.NoError(t, err)
	require.NoError(t, app.Run(argv))
	require.Equal(t, [][]string{{"a,b", "c"}, {"d"}}, groups)
	require.Equal(t, []string{"Hello, world", "x"}, values)
}

func FuzzNormalizeArgs(f *testing.F) {
	f.Add("run", "--input_text", "a b", "--streaming")
	f.Add("eval", "rouge", "--", "-")
	f.Add("--top", "=", "run", "---")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		argv, err := normalizeArgs(argvApp(), []string{"trtgo", a, b, c, d})
		if err == nil {
			require.NotEmpty(t, argv)
		}
	})
}
