package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the shell's completion script",
		ArgsUsage: "bash|zsh|fish",
		Description: "Put the script where your shell reads it, for example\n" +
			"  trtgo completion bash > /etc/bash_completion.d/trtgo\n" +
			"  source <(trtgo completion zsh)",
		Action: printCompletion,
	}
}

func printCompletion(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return usagef("completion needs one shell: bash, zsh or fish")
	}
	words := completionWords(c.App)
	switch shell := c.Args().First(); shell {
	case "bash":
		return printf(c, "%s", bashCompletion(words))
	case "zsh":
		return printf(c, "autoload -U +X bashcompinit && bashcompinit\n%s", bashCompletion(words))
	case "fish":
		script, err := c.App.ToFishCompletion()
		if err != nil {
			return err
		}
		return printf(c, "%s", script)
	default:
		return usagef("no completion for %q; shells are bash, zsh and fish", shell)
	}
}

type commandWords struct {
	path  string
	words []string
}

// completionWords lists, for each command, the words that may follow it.
func completionWords(app *cli.App) []commandWords {
	var all []commandWords
	var walk func(path string, commands []*cli.Command, flags []cli.Flag)
	walk = func(path string, commands []*cli.Command, flags []cli.Flag) {
		var words []string
		commands = slices.DeleteFunc(slices.Clone(commands), func(c *cli.Command) bool { return c.Hidden })
		for _, sub := range commands {
			words = append(words, sub.Name)
		}
		for _, f := range flags {
			words = append(words, "--"+f.Names()[0])
		}
		all = append(all, commandWords{path, words})
		for _, sub := range commands {
			walk(strings.TrimSpace(path+" "+sub.Name), sub.Subcommands, sub.Flags)
		}
	}
	walk("", app.Commands, nil)
	return all
}

// bashCompletion writes a function that offers the words of the command typed so
// far, and file names after them.
func bashCompletion(all []commandWords) string {
	var b strings.Builder
	b.WriteString("_trtgo() {\n  local path=\"\" word i cur=\"${COMP_WORDS[COMP_CWORD]}\"\n" +
		"  for ((i = 1; i < COMP_CWORD; i++)); do\n    word=\"${COMP_WORDS[i]}\"\n" +
		"    case \"$word\" in -*) break ;; esac\n    path=\"${path:+$path }$word\"\n  done\n  local words=\"\"\n  case \"$path\" in\n")
	for _, c := range all {
		fmt.Fprintf(&b, "    %q) words=%q ;;\n", c.path, strings.Join(c.words, " "))
	}
	b.WriteString("  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _trtgo trtgo\n")
	return b.String()
}
