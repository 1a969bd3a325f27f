package compatibility

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// section is the name of the tables' place in docs/compatibility.md.
const section = "networks"

// Write renders the tables into the document at path.
func Write(path string) error {
	text, err := Tables()
	if err != nil {
		return err
	}
	return benchdoc.Update(path, section, text)
}

// document is the file that the tables belong to.
func document() (string, error) {
	root, err := Root()
	return filepath.Join(root, "docs/compatibility.md"), err
}

// facts are the letters of the methods that showed a line.
type facts map[string][]string

func readFacts() (facts, error) {
	f := facts{}
	for _, m := range Methods {
		path, err := file(m)
		if err != nil {
			return nil, err
		}
		lines, err := read(path)
		if err != nil {
			return nil, err
		}
		for line := range lines {
			if m != Longer || !slices.Contains(f[line], Compiler.Letter) {
				f[line] = append(f[line], m.Letter)
			}
		}
	}
	return f, nil
}

// Tables are the tables of the backends as Markdown: what the files in testdata say, and what
// the lowerings take and refuse. A fact for which there is no cell is an error.
func Tables() (string, error) {
	f, err := readFacts()
	if err != nil {
		return "", err
	}
	return f.tables()
}

func (f facts) tables() (string, error) {
	d := &drawing{facts: f, used: map[string]bool{}}
	for _, m := range Methods {
		fmt.Fprintf(d, "- **%s**: %s\n", m.Letter, m.Means)
	}
	d.WriteString("- **–**: written but unverified\n- **no**: refused, with a sentence that says why\n")
	for _, backend := range []string{OnCPU, TRTLLM, RTX} {
		fmt.Fprintf(d, "\n### %s\n\n", backend)
		if backend == TRTLLM {
			d.divided(backend)
		} else {
			d.whole(backend)
		}
		d.choices(backend)
	}
	for line := range f {
		if !d.used[line] {
			return "", fmt.Errorf("no row or column has the fact %q", line)
		}
	}
	return d.String(), nil
}

// drawing is the tables as far as they are written.
type drawing struct {
	strings.Builder
	facts facts
	used  map[string]bool
}

func (d *drawing) row(cells ...string) {
	d.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func (d *drawing) header(cells ...string) {
	d.row(cells...)
	d.WriteString(strings.Repeat("|---", len(cells)) + "|\n")
}

// whole writes a row for each form of weights and a column for each family.
func (d *drawing) whole(backend string) {
	header := []string{"weights, activations"}
	for _, architecture := range architectures {
		header = append(header, families[architecture])
	}
	d.header(header...)
	for _, w := range forms {
		row := []string{w.String()}
		for _, architecture := range architectures {
			row = append(row, d.cell(backend, config(architecture, w, 1, 1)))
		}
		d.row(row...)
	}
}

// divided writes a row for each family and form of weights, and a column for each division
// among ranks (tp_size × pp_size).
func (d *drawing) divided(backend string) {
	header := []string{"family", "weights, activations"}
	for _, n := range divisions {
		header = append(header, Parallel(n.tp, n.pp))
	}
	d.header(header...)
	for _, architecture := range architectures {
		for _, w := range forms {
			row := []string{families[architecture], w.String()}
			for _, n := range divisions {
				row = append(row, d.cell(backend, config(architecture, w, n.tp, n.pp)))
			}
			d.row(row...)
		}
	}
}

// divisions are those of the tables.
var divisions = []struct{ tp, pp int }{{1, 1}, {2, 1}, {4, 1}, {1, 2}, {1, 3}, {2, 2}, {4, 2}}

// cell is what is known of an engine.
func (d *drawing) cell(backend string, c *checkpoint.Config) string {
	line := describe(backend, c).lines()[0]
	d.used[line] = true
	letters := d.facts[line]
	switch err := lowers(backend, c); {
	case err != nil && len(letters) > 0:
		return "refused, though a test showed it: " + err.Error()
	case err != nil:
		return "no"
	case len(letters) == 0:
		return "–"
	}
	return strings.Join(letters, " ")
}

// choices writes what the tests chose beside the defaults.
func (d *drawing) choices(backend string) {
	var names []string
	for line := range d.facts {
		if name, ok := strings.CutPrefix(line, strings.Join([]string{backend, "choice", ""}, separator)); ok {
			names = append(names, name)
		}
	}
	for _, name := range known[backend] {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	d.WriteString("\n")
	d.header("choice", "")
	for _, name := range names {
		line := strings.Join([]string{backend, "choice", name}, separator)
		d.used[line] = true
		letters := d.facts[line]
		if len(letters) == 0 {
			letters = []string{"–"}
		}
		d.row(name, strings.Join(letters, " "))
	}
}

// known are choices that stand in the table whether a test made them or not.
var known = map[string][]string{
	TRTLLM: {
		"gemm_plugin fp8", "gemm_plugin auto", "use_fused_mlp disable", "manage_weights", "context_fmha disable", "use_paged_context_fmha disable",
		"use_fp8_context_fmha", "multiple_profiles", "tokens_per_block", "nccl_plugin of another type", "max_beam_width",
		"gather_context_logits", "logits_dtype float16", "head tied to the embedding", "embedding divided by vocabulary", "embedding divided by hidden size",
		"rotary_scaling linear", "rotary_scaling llama3", "rotary_scaling yarn", "rotary embedding of a part of the head", "attention window", "biases",
		"release 1.1.0",
	},
	OnCPU: {
		"rotary_scaling linear", "rotary_scaling llama3", "rotary_scaling yarn", "rotary embedding of a part of the head", "attention window", "biases",
	},
	RTX: {
		"weights inside the plan", "gather_context_logits", "logits_dtype float16", "head tied to the embedding",
		"rotary_scaling linear", "rotary_scaling llama3", "rotary_scaling yarn", "rotary embedding of a part of the head", "attention window", "biases",
	},
}

// architectures are those of the table.
var architectures = []string{"LlamaForCausalLM", "MistralForCausalLM", "NemotronForCausalLM"}

// form is how weights, cache and activations are stored.
type form struct{ algo, cache, dtype string }

// String is as the tables name it.
func (w form) String() string { return weights(config(architectures[0], w, 1, 1)) }

var forms = func() []form {
	list := []form{{"", "", checkpoint.Float32}, {"", "", checkpoint.Float16}, {"", "", checkpoint.BFloat16}}
	for _, q := range []form{{checkpoint.FP8, "", ""}, {checkpoint.FP8, checkpoint.FP8, ""}, {checkpoint.W8A16, "", ""}, {checkpoint.W4A16, "", ""}, {checkpoint.W4A16AWQ, "", ""}} {
		for _, dtype := range []string{checkpoint.Float32, checkpoint.Float16, checkpoint.BFloat16} {
			list = append(list, form{q.algo, q.cache, dtype})
		}
	}
	return list
}()

// config is that of a small model.
func config(architecture string, w form, tp, pp int) *checkpoint.Config {
	c := &checkpoint.Config{
		Architecture: architecture, Dtype: w.dtype, LogitsDtype: checkpoint.Float32, VocabSize: 512, HiddenSize: 512, NumHiddenLayers: 4, NumAttentionHeads: 8,
		NumKeyValueHeads: 2, HeadSize: 64, IntermediateSize: 1024, MaxPositionEmbeddings: 128, HiddenAct: "silu", NormEpsilon: 1e-5,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000, Mapping: checkpoint.Mapping{WorldSize: tp * pp, TPSize: tp, PPSize: pp},
		Quantization: checkpoint.Quantization{QuantAlgo: w.algo, KVCacheQuantAlgo: w.cache},
	}
	if w.algo == checkpoint.W4A16AWQ {
		c.Quantization.GroupSize, c.Quantization.PreQuantScale = 64, true
	}
	if c.Family() == checkpoint.GPT {
		c.HiddenAct, c.RotaryPct = "squared-relu", 0.5
	}
	return c
}

// lowers tells why the ranks of a model cannot become networks.
func lowers(backend string, c *checkpoint.Config) error {
	auto := "auto"
	for rank := range c.Mapping.WorldSize {
		net, err := model.New(c, rank)
		if err != nil {
			return err
		}
		switch backend {
		case OnCPU: // it takes all networks of one rank that there are
		case RTX:
			_, err = tensorrt.LowerNative(net, tensorrt.NativeOptions{MaxBatchSize: 4, MaxInputLen: 32, MaxSeqLen: 64, LogitsDtype: checkpoint.Float32})
		default:
			_, err = tensorrt.Lower(net, tensorrt.Options{
				MaxBatchSize: 4, MaxBeamWidth: 1, MaxInputLen: 32, MaxSeqLen: 64, MaxNumTokens: 128, OptNumTokens: 4, LogitsDtype: checkpoint.Float32,
				Plugins: engineconfig.Plugin{
					GPTAttentionPlugin: &auto, NCCLPlugin: &auto, ContextFMHA: true, PagedKVCache: true, RemoveInputPadding: true, TokensPerBlock: 32,
					UsePagedContextFMHA: true, UseFusedMLP: true,
				},
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// updateDocument writes the tables where the environment asks for it.
func updateDocument() error {
	path, err := document()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err
	}
	return Write(path)
}
