package main

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// version is overwritten by the linker for a release; otherwise the module's
// version as Go recorded it is used.
var version = ""

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// newApp builds the command tree. Nothing in it exits the process, so that tests
// call run as a function.
func newApp(stdin io.Reader, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:    "trtgo",
		Usage:   "TensorRT-LLM engines without Python: export, build, run, chat, summarize",
		Version: programVersion(),
		Reader:  stdin, Writer: stdout, ErrWriter: stderr,
		DisableSliceFlagSeparator: true,
		HideHelpCommand:           true,
		Commands: []*cli.Command{
			exportCommand(), buildCommand(), runCommand(), chatCommand(), summarizeCommand(),
			inspectCommand(), tokenizeCommand(), evalCommand(), benchCommand(), doctorCommand(), completionCommand(), buildWorkerCommand(), doctorLoaderCommand(),
		},
		ExitErrHandler: func(*cli.Context, error) {}, // run decides on the status
		OnUsageError:   onUsageError,
		Action:         requireSubcommand,
	}
	for _, c := range app.Commands {
		completeCommand(c)
	}
	app.Setup()
	return app
}

// completeCommand gives a command what all of them share.
func completeCommand(c *cli.Command) {
	c.OnUsageError = onUsageError
	c.HideHelpCommand = true
	if len(c.Subcommands) > 0 {
		c.Action = requireSubcommand
		for _, sub := range c.Subcommands {
			completeCommand(sub)
		}
		return
	}
	c.Flags = append(c.Flags,
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "trace, debug, verbose, info, warning, error or internal_error", Category: "output"},
		&cli.BoolFlag{Name: "quiet", Usage: "no progress and no log below error on stderr", Category: "output"},
	)
	c.Before = checkLogLevel
	for _, f := range c.Flags {
		if f, isSwitch := f.(*cli.BoolFlag); isSwitch {
			f.DisableDefaultText = !f.Value // nearly all are off
		}
	}
}

func onUsageError(_ *cli.Context, err error, _ bool) error {
	return &usageError{err}
}

func requireSubcommand(c *cli.Context) error {
	if c.Args().Present() {
		return unknownCommand(c.App.Commands, c.Args().First())
	}
	if err := cli.ShowSubcommandHelp(c); err != nil {
		return err
	}
	return usagef("which command?")
}

// logLevels are upstream's names.
var logLevels = map[string]slog.Level{
	"trace": slog.LevelDebug, "debug": slog.LevelDebug, "verbose": slog.LevelDebug,
	"info": slog.LevelInfo, "warning": slog.LevelWarn,
	"error": slog.LevelError, "internal_error": slog.LevelError,
}

func checkLogLevel(c *cli.Context) error {
	if _, ok := logLevels[c.String("log-level")]; !ok {
		return usagef("--log-level %q is none of trace, debug, verbose, info, warning, error, internal_error", c.String("log-level"))
	}
	return nil
}

// newLogger gives the command's log on stderr.
func newLogger(c *cli.Context) *slog.Logger {
	level := logLevels[c.String("log-level")]
	if c.Bool("quiet") {
		level = slog.LevelError
	}
	return slog.New(&lineHandler{w: c.App.ErrWriter, level: level})
}

// noOperands refuses operands for a command that has none.
func noOperands(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes flags only; what is %q?", strings.TrimPrefix(c.Command.HelpName, c.App.Name+" "), c.Args().First())
	}
	return nil
}

// oneOf refuses a flag's value that is not among allowed; "" among them is a flag
// that was left out.
func oneOf(c *cli.Context, name string, allowed ...string) error {
	v := c.String(name)
	if slices.Contains(allowed, v) && (v != "" || !c.IsSet(name)) {
		return nil
	}
	allowed = slices.DeleteFunc(allowed, func(s string) bool { return s == "" })
	return usagef("--%s %q is none of %s", name, v, strings.Join(allowed, ", "))
}

func atLeast(c *cli.Context, name string, least int) error {
	if v := c.Int(name); v < least {
		return usagef("--%s is %d, must be at least %d", name, v, least)
	}
	return nil
}

// between refuses a number outside low and high, NaN among them.
func between(c *cli.Context, name string, low, high float64) error {
	if v := c.Float64(name); !(v >= low && v <= high) {
		return usagef("--%s is %v, must be from %v to %v", name, v, low, high)
	}
	return nil
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// printf writes a result line; a broken pipe ends the command by its error.
func printf(c *cli.Context, format string, a ...any) error {
	_, err := fmt.Fprintf(c.App.Writer, format, a...)
	return err
}
