package build

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// Memory is where an engine's memory goes. Bytes are those of the precision that
// runs by default: fast (bfloat16 KV cache and linear inputs) for bfloat16
// weights, exact (float32) otherwise.
type Memory struct {
	Precision string `json:"precision"` // "fast" or "exact"

	Weights []WeightGroup `json:"weights"`      // in order of the forward pass
	Total   int64         `json:"weight_bytes"` // of all weights

	KVPerToken         int64 `json:"kv_bytes_per_token"`         // keys and values of one token in all layers
	ActivationPerToken int64 `json:"activation_bytes_per_token"` // buffers of one token in a step
	LogitsPerRow       int64 `json:"logits_bytes_per_row"`       // buffers of one token whose logits are wanted, cpuengine.LogitsRows at a time

	MaxBatchSize int      `json:"max_batch_size"`
	MaxSeqLen    int      `json:"max_seq_len"`
	MaxNumTokens int      `json:"max_num_tokens"`
	Notes        []string `json:"notes,omitempty"`
}

// WeightGroup is the weights of one kind, over all layers.
type WeightGroup struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Explain tells where the memory of the engine goes that Build would build, for
// each limit. It writes nothing. What o asks for is checked as by Build.
func Explain(ctx context.Context, o Options) (*Memory, error) {
	o.DryRun = true
	if o.Backend != "" && o.Backend != BackendCPU {
		return nil, o.unsupported("explain", "it tells of the CPU backend's memory")
	}
	p, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.ckpt.Close() }() // it was only read
	plan := p.plan.(*cpuPlan)
	m := &Memory{Precision: "exact", MaxBatchSize: p.MaxBatchSize, MaxSeqLen: p.MaxSeqLen, MaxNumTokens: p.MaxNumTokens, Total: plan.Size(), Notes: p.notes}
	width := int64(4) // of a linear's input
	if plan.Program.WeightDtype == cpuengine.DtypeBF16 {
		m.Precision, width = "fast", 2
	}
	if err := m.weights(plan.Sections, plan.TiedHead); err != nil {
		return nil, err
	}
	for _, b := range plan.Program.Buffers {
		bytes := int64(b.Width+cpuengine.PanelRows-1) / cpuengine.PanelRows * cpuengine.PanelRows * 4
		if b.LinearInput {
			bytes = bytes / 4 * width
		}
		if b.Selected {
			m.LogitsPerRow += bytes
		} else {
			m.ActivationPerToken += bytes
		}
	}
	m.KVPerToken = plan.Program.KVBytesPerToken(m.Precision == "fast")
	return m, nil
}

// weights groups sections by their name without the layer.
func (m *Memory) weights(sections []cpuengine.Section, tied bool) error {
	group := map[string]int{}
	for _, s := range sections {
		size, err := cpuengine.PackedSize(s)
		if err != nil {
			return err
		}
		name := "norms, biases and rotary frequencies"
		if s.Rows > 1 {
			name = groupName(s.Name)
			if tied && name == "vocab_embedding" {
				name = "vocab_embedding and lm_head, which are equal"
			}
		}
		i, ok := group[name]
		if !ok {
			i = len(m.Weights)
			group[name] = i
			m.Weights = append(m.Weights, WeightGroup{Name: name})
		}
		m.Weights[i].Bytes += size
	}
	return nil
}

// groupName turns "transformer.layers.3.mlp.fc.weight|transformer.layers.3.mlp.gate.weight"
// into "mlp.fc + mlp.gate".
func groupName(section string) string {
	var parts []string
	for _, name := range strings.Split(section, "|") {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "transformer."), ".weight")
		if f := strings.SplitN(name, ".", 3); len(f) == 3 && f[0] == "layers" {
			name = f[2]
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, " + ")
}

// String is a table for people.
func (m *Memory) String() string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "weights (mapped from the file, shared between processes)\n")
	for _, g := range m.Weights {
		fmt.Fprintf(w, "  %s\t%s\n", g.Name, bytesText(g.Bytes))
	}
	fmt.Fprintf(w, "  total\t%s\n", bytesText(m.Total))
	blocks := (int64(m.MaxSeqLen) + cpuengine.KVBlockTokens - 1) / cpuengine.KVBlockTokens
	perSequence := m.KVPerToken * blocks * cpuengine.KVBlockTokens
	fmt.Fprintf(w, "KV cache, precision %s\n", m.Precision)
	fmt.Fprintf(w, "  a token\t%s\n", bytesText(m.KVPerToken))
	fmt.Fprintf(w, "  a sequence of max_seq_len %d, in blocks of %d\t%s\n", m.MaxSeqLen, cpuengine.KVBlockTokens, bytesText(perSequence))
	fmt.Fprintf(w, "  max_batch_size %d of those\t%s\n", m.MaxBatchSize, product(perSequence, m.MaxBatchSize))
	fmt.Fprintf(w, "activations of a step\n")
	fmt.Fprintf(w, "  a token\t%s\n", bytesText(m.ActivationPerToken))
	fmt.Fprintf(w, "  max_num_tokens %d of those\t%s\n", m.MaxNumTokens, product(m.ActivationPerToken, m.MaxNumTokens))
	fmt.Fprintf(w, "logits\n")
	fmt.Fprintf(w, "  a row\t%s\n", bytesText(m.LogitsPerRow))
	fmt.Fprintf(w, "  %d of those, the most at a time\t%s\n", cpuengine.LogitsRows, product(m.LogitsPerRow, cpuengine.LogitsRows))
	_ = w.Flush() // to memory
	s.WriteString("Limits are ceilings: the KV cache and the activations are sized when the engine is opened, from the memory\nthat is free then, and take memory as they are used.\n")
	for _, n := range m.Notes {
		fmt.Fprintf(&s, "note: %s\n", n)
	}
	return s.String()
}

// product prints bytes·n, which may be more than 64 bits hold.
func product(bytes int64, n int) string { return floatText(float64(bytes) * float64(n)) }

func bytesText(n int64) string { return floatText(float64(n)) }

func floatText(n float64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%.0f B", n)
	}
	for i, u := range units {
		if n /= 1000; n < 999.95 || i == len(units)-1 {
			return fmt.Sprintf("%.1f %cB", n, u)
		}
	}
	return ""
}
