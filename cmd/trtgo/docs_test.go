package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/testmodel"
)

// published puts tiny models under the names that docs/conversion.md uses, each in
// the form that the page says.
func published(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	move := func(from, name string) {
		require.NoError(t, os.Rename(from, filepath.Join(dir, name)))
	}
	move(testmodel.Nemo(t, "nemotron.zarr"), "minitron-8b-base.nemo")
	move(testmodel.Nemo(t, "nemotron.torch-dist"), "minitron-4b-base.nemo")
	move(testmodel.Nemo(t, "nemotron.ckpt"), "nemotron-mini-4b-instruct.nemo")
	move(testmodel.Nemo(t, "llama-tied-llama3.ckpt"), "llama-3.1-minitron-4b-width-base.nemo")
	move(testmodel.Nemo(t, "llama-f16.torch-dist"), "llama-3.1-minitron-4b-depth-base.nemo")
	move(testmodel.Nemo(t, "llama-f16.zarr-tp2"), "mistral-nemo-minitron-8b-base.nemo")
	move(testmodel.Nemo(t, "nemotron-f32.gzip"), "compressed.nemo")
	move(testmodel.NemoDir(t, "mistral-headdim.nemo2"), "nemo2-directory")
	move(testmodel.NemoDir(t, "nemotron.zarr"), "unpacked-nemo-directory")
	bare := testmodel.NemoDir(t, "nemotron-f32.mcore")
	move(filepath.Join(bare, "iter"), "iter_0000100")
	move(filepath.Join(bare, "model_config.yaml"), "model_config.yaml")
	move(filepath.Join(testmodel.NemoDir(t, "llama-f16.hf-dcp"), "iter"), "dcp-directory")
	move(filepath.Join(testmodel.Dir(t, "llama-f16"), "config.json"), "config.json")
	move(testmodel.PyTorch(t, "nemotron", "zip"), "Minitron-8B-Base")
	move(testmodel.PyTorch(t, "nemotron", "sharded"), "Minitron-4B-Base")
	move(testmodel.Dir(t, "nemotron-f32"), "Nemotron-Mini-4B-Instruct")
	move(testmodel.Dir(t, "llama-headdim"), "Llama-3.1-Minitron-4B-Width-Base")
	move(testmodel.Dir(t, "llama-tied-llama3"), "Llama-3.1-Minitron-4B-Depth-Base")
	move(testmodel.Dir(t, "mistral-headdim"), "Mistral-NeMo-Minitron-8B-Base")
	move(testmodel.Dir(t, "mistral-window"), "Mistral-NeMo-Minitron-8B-Instruct")
	move(testmodel.QuantisedDir(t, "nemotron.fp8"), "Minitron-8B-Base-FP8")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "scratch"), 0o755))
	return dir
}

// Every command of the page works as it stands.
func TestConversionCommands(t *testing.T) {
	page, err := os.ReadFile("../../docs/conversion.md")
	require.NoError(t, err)
	t.Chdir(published(t))
	commands := 0
	for i, block := range strings.Split(string(page), "```") {
		if i%2 == 0 {
			continue
		}
		if others, found := strings.CutPrefix(block, "sh\n"); found { // commands of other programs
			require.NotContains(t, "\n"+others, "\ntrtgo ", "its own have a block that is run")
			continue
		}
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			args := strings.Fields(line)
			if len(args) == 0 {
				continue
			}
			require.Equal(t, "trtgo", args[0], "a block has commands only")
			var stdout, stderr bytes.Buffer
			require.Zero(t, run(args, os.Stdin, &stdout, &stderr), "%s%s", line, &stderr)
			commands++
		}
	}
	require.Greater(t, commands, 20)
}

// Every flag that a page names exists in some command, in full.
func TestDocumentedFlags(t *testing.T) {
	known := map[string]bool{}
	for _, command := range newApp(os.Stdin, os.Stdout, os.Stderr).Commands {
		for _, c := range append(command.Subcommands, command) {
			for name := range flagTable(c.Flags) {
				known[name] = true
			}
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	others := regexp.MustCompile("(?m)`(cp|go|make|pip|cmake) [^`]*`|^(cmake|docker) .*$") // commands of other programs
	flag := regexp.MustCompile("(?:^|[\\s`(])--([A-Za-z][A-Za-z0-9_-]*)")
	for _, path := range append(pages, "../../README.md") {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, found := range flag.FindAllStringSubmatch(others.ReplaceAllString(string(text), ""), -1) {
			name := strings.ReplaceAll(found[1], "_", "-")
			require.True(t, known[name], "%s: no command has --%s", path, found[1])
		}
	}
}
