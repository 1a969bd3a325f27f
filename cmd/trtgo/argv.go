package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// listSeparator joins the values that stood after one list flag, so that
// `--stop_words a b --stop_words c` stays two groups. Arguments hold no NUL.
const listSeparator = "\x00"

// normalizeArgs rewrites a command line of upstream's manner (argparse) into one
// that urfave/cli reads: "--name=value" for every flag, then "--", then the
// operands. What it adds to urfave/cli:
//   - an underscore in a flag's name is a dash (never in a value), and a second
//     name of a flag is its first, so that of several the last counts;
//   - flags may follow operands;
//   - a list flag takes several values: --input_text "a" "b";
//   - a value is kept whole, commas included; a number is decimal;
//   - --no-name of a pair --name and --no-name is --name=false, the last of them counts;
//   - a shortened flag, which argparse would take, is refused with its full name.
//
// As in argparse, a token is a flag when it begins with a dash, is more than a
// dash, is no negative number and has no blank before its '='.
func normalizeArgs(app *cli.App, args []string) ([]string, error) {
	out := []string{"trtgo"}
	if len(args) == 0 {
		return out, nil
	}
	rest := args[1:]
	commands, flags := app.Commands, flagTable(app.Flags)
	for {
		level, operand, tail, err := splitLevel(flags, rest, commands != nil)
		if err != nil {
			return nil, err
		}
		out = append(out, level...)
		if operand == nil {
			return append(out, tail...), nil
		}
		command := findCommand(commands, *operand)
		if command == nil {
			return nil, unknownCommand(commands, *operand)
		}
		out = append(out, command.Name)
		rest, commands, flags = tail, command.Subcommands, flagTable(command.Flags)
		if len(commands) == 0 {
			commands = nil
		}
	}
}

// splitLevel reads the flags of one command level. At a level with sub-commands
// it stops at the first operand, the sub-command's name; at the last one it
// reads to the end and tail is "--" and the operands.
func splitLevel(flags map[string]cli.Flag, args []string, stopAtOperand bool) (level []string, operand *string, tail []string, err error) {
	var operands []string
	for len(args) > 0 {
		token := args[0]
		args = args[1:]
		if token == "--" {
			operands = append(operands, args...)
			break
		}
		if !looksLikeFlag(token) {
			if stopAtOperand {
				return level, &token, args, nil
			}
			operands = append(operands, token)
			continue
		}
		var flag string
		flag, args, err = readFlag(flags, token, args)
		if err != nil {
			return nil, nil, nil, err
		}
		level = append(level, flag)
	}
	if len(operands) > 0 {
		tail = append([]string{"--"}, operands...)
	}
	return level, nil, tail, nil
}

// readFlag turns one flag and the values it takes into "--name=value".
func readFlag(flags map[string]cli.Flag, token string, args []string) (string, []string, error) {
	written, value, hasValue := strings.Cut(token, "=")
	name := strings.TrimLeft(written, "-")
	dashes := len(written) - len(name)
	name = strings.ReplaceAll(name, "_", "-")
	flag, ok := flags[name]
	if !ok || dashes > 2 {
		return "", nil, unknownFlag(flags, written, name)
	}
	name = flag.Names()[0]
	n := 0 // values taken from args
	if _, isSwitch := flag.(*cli.BoolFlag); isSwitch {
		if !hasValue {
			value = "true"
		}
	} else if !hasValue {
		if len(args) == 0 || args[0] == "--" || looksLikeFlag(args[0]) {
			return "", nil, usagef("--%s needs a value (a value that begins with a dash is written --%s=VALUE)", name, name)
		}
		n = 1
		if _, isList := flag.(*cli.StringSliceFlag); isList {
			for n < len(args) && args[n] != "--" && !looksLikeFlag(args[n]) {
				n++
			}
		}
		value = strings.Join(args[:n], listSeparator)
	}
	value, err := plainValue(flag, name, value)
	name, value = positive(flags, name, value)
	return "--" + name + "=" + value, args[n:], err
}

// positive turns the second flag of a pair of switches, --name and --no-name, into the first.
func positive(flags map[string]cli.Flag, name, value string) (string, string) {
	on, isNo := strings.CutPrefix(name, "no-")
	if _, isPair := flags[on].(*cli.BoolFlag); !isNo || !isPair {
		return name, value
	}
	off, _ := strconv.ParseBool(value) // plainValue has told
	return on, strconv.FormatBool(!off)
}

// plainValue checks a value by its flag's kind. Integers are decimal, as in
// argparse; urfave/cli would take 010 for 8.
func plainValue(flag cli.Flag, name, value string) (string, error) {
	switch flag.(type) {
	case *cli.BoolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return "", usagef("--%s is a switch: its value can be true or false, not %q", name, value)
		}
	case *cli.IntFlag:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return "", usagef("--%s %q is not a whole number", name, value)
		}
		return strconv.FormatInt(n, 10), nil
	case *cli.Float64Flag:
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return "", usagef("--%s %q is not a number", name, value)
		}
	case *cli.DurationFlag:
		if _, err := time.ParseDuration(value); err != nil {
			return "", usagef("--%s %q is not a time like 90s or 1m30s", name, value)
		}
	}
	return value, nil
}

func looksLikeFlag(token string) bool {
	if len(token) < 2 || token[0] != '-' || isNegativeNumber(token) {
		return false
	}
	name, _, _ := strings.Cut(token, "=")
	return !strings.ContainsAny(name, " \t\n")
}

func isNegativeNumber(token string) bool {
	digits, dots := 0, 0
	for _, c := range token[1:] {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		default:
			return false
		}
	}
	return digits > 0 && dots <= 1
}

func flagTable(flags []cli.Flag) map[string]cli.Flag {
	table := map[string]cli.Flag{
		"help": cli.HelpFlag, "h": cli.HelpFlag,
	}
	for _, f := range flags {
		for _, name := range f.Names() {
			table[strings.ReplaceAll(name, "_", "-")] = f
		}
	}
	return table
}

func unknownFlag(flags map[string]cli.Flag, written, name string) error {
	if _, isBuild := flags["gpt-attention-plugin"]; isBuild {
		if why, gone := goneFlags[name]; gone {
			return usagef("%s is gone from TensorRT-LLM 1.2: %s", written, why)
		}
	}
	var longer []string
	for flag := range flags {
		if len(name) > 1 && strings.HasPrefix(flag, name) {
			longer = append(longer, "--"+flag)
		}
	}
	if len(longer) > 0 {
		return usagef("unknown flag %s; flags are not shortened: write %s", written, strings.Join(sorted(longer), " or "))
	}
	return usagef("unknown flag %s (--help lists the flags)", written)
}

func findCommand(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

func unknownCommand(commands []*cli.Command, name string) error {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return usagef("unknown command %q; commands are %s", name, strings.Join(names, ", "))
}

// listValues returns the values of a list flag, all occurrences in order.
func listValues(c *cli.Context, name string) []string {
	var values []string
	for _, group := range listGroups(c, name) {
		values = append(values, group...)
	}
	return values
}

// listGroups returns the values of a list flag, one group for each occurrence.
func listGroups(c *cli.Context, name string) [][]string {
	var groups [][]string
	for _, group := range c.StringSlice(name) {
		groups = append(groups, strings.Split(group, listSeparator))
	}
	return groups
}
