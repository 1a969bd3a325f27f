package benchmark

import (
	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/cpuengine"
)

// Phase is what a step does with its sequences.
type Phase string

// The phases.
const (
	Prefill Phase = "prefill"
	Decode  Phase = "decode"
)

// Case is a step: a prompt of Tokens tokens, or a token of each of BatchSize sequences
// that have Context tokens before it.
type Case struct {
	Phase     Phase `json:"phase"`
	Threads   int   `json:"threads"`
	BatchSize int   `json:"batch_size"`
	Tokens    int   `json:"tokens"`  // of the step
	Context   int   `json:"context"` // of each sequence before the step
}

// seqLen is the length of each sequence after the step.
func (c Case) seqLen() int { return c.Context + c.Tokens/c.BatchSize }

// Cost is what a step cannot do without; see the package comment.
type Cost struct {
	WeightBytes         int64   `json:"weight_bytes"`
	KVBytes             int64   `json:"kv_bytes"` // read and written
	EmbeddingBytes      int64   `json:"embedding_bytes"`
	LinearOperations    float64 `json:"linear_operations"`
	AttentionOperations float64 `json:"attention_operations"`
}

// Bytes are all of them.
func (c Cost) Bytes() float64 { return float64(c.WeightBytes + c.KVBytes + c.EmbeddingBytes) }

// Operations are all of them.
func (c Cost) Operations() float64 { return c.LinearOperations + c.AttentionOperations }

// A model is an engine as a runner computes it.
type model struct {
	program        *cpuengine.Program
	sections       []cpuengine.Section
	isa, precision string
}

// work is the cost of one operation, and its kind of arithmetic.
type work struct {
	Cost
	arithmetic cpu.Arithmetic
}

// works are those of all operations of the program.
func (m *model) works(c Case) []work {
	works := make([]work, len(m.program.Ops))
	for i := range m.program.Ops {
		works[i] = m.work(&m.program.Ops[i], c)
	}
	return works
}

func (m *model) work(op *cpuengine.Op, c Case) work {
	switch op.Kind {
	case cpuengine.OpEmbedding:
		s := &m.sections[op.Weight]
		return work{Cost: Cost{EmbeddingBytes: s.Size / int64(s.Rows) * int64(c.Tokens)}}
	case cpuengine.OpLinear:
		rows := c.Tokens
		if m.program.Buffers[op.In].Selected {
			rows = c.BatchSize
		}
		return work{
			Cost:       Cost{WeightBytes: m.size(op.Weight) + m.size(op.Bias), LinearOperations: 2 * float64(op.N) * float64(op.K) * float64(rows)},
			arithmetic: cpu.ArithmeticOf(m.isa, m.precision, m.sections[op.Weight].Dtype),
		}
	case cpuengine.OpAttention:
		return m.attention(op, c)
	}
	return work{Cost: Cost{WeightBytes: m.size(op.Weight) + m.size(op.Bias) + m.size(op.OutFactor)}}
}

func (m *model) attention(op *cpuengine.Op, c Case) work {
	dtype, size := m.kvDtype()
	perToken := 2 * int64(op.KVHeads) * int64(op.HeadSize) * size
	var seen float64 // positions, by all queries of a sequence
	for p := c.Context; p < c.seqLen(); p++ {
		seen += float64(visible(op.Window, p))
	}
	first := c.Context + 1 - visible(op.Window, c.Context) // that any query sees
	return work{
		Cost: Cost{
			WeightBytes:         m.size(op.OutFactor),
			KVBytes:             perToken * int64(c.BatchSize) * int64(c.seqLen()-first+c.seqLen()-c.Context),
			AttentionOperations: 4 * float64(op.Heads) * float64(op.HeadSize) * seen * float64(c.BatchSize),
		},
		arithmetic: cpu.ArithmeticOf(m.isa, m.precision, dtype),
	}
}

// visible is how many positions a query at p sees.
func visible(window, p int) int {
	if window > 0 {
		return min(window, p+1)
	}
	return p + 1
}

// kvDtype gives the dtype whose arithmetic attention has, and the bytes of a number in
// the cache. Numbers of 8 bits become bfloat16.
func (m *model) kvDtype() (dtype string, size int64) {
	switch {
	case m.program.KVCacheDtype != "":
		return cpuengine.DtypeBF16, 1
	case m.precision == "exact":
		return cpuengine.DtypeF32, 4
	}
	return cpuengine.DtypeBF16, 2
}

// size is that of a section; of none, 0.
func (m *model) size(section int) int64 {
	if section < 0 {
		return 0
	}
	return m.sections[section].Size
}

// sum adds up costs.
func sum(works []work) Cost {
	var total Cost
	for _, w := range works {
		total.WeightBytes += w.WeightBytes
		total.KVBytes += w.KVBytes
		total.EmbeddingBytes += w.EmbeddingBytes
		total.LinearOperations += w.LinearOperations
		total.AttentionOperations += w.AttentionOperations
	}
	return total
}

// limits are speeds of the machine at one moment: bytes and operations a second.
type limits struct {
	stream float64
	peak   map[cpu.Arithmetic]float64
}

// memorySeconds is how long the bytes take at least.
func (l *limits) memorySeconds(works []work) float64 { return sum(works).Bytes() / l.stream }

// arithmeticSeconds is how long the operations take at least.
func (l *limits) arithmeticSeconds(works []work) float64 {
	seconds := 0.0
	for _, w := range works {
		if n := w.Operations(); n > 0 {
			seconds += n / l.peak[w.arithmetic]
		}
	}
	return seconds
}

// mean of two moments.
func (l *limits) mean(o *limits) *limits {
	m := &limits{stream: (l.stream + o.stream) / 2, peak: map[cpu.Arithmetic]float64{}}
	for a := range l.peak {
		m.peak[a] = (l.peak[a] + o.peak[a]) / 2
	}
	return m
}
