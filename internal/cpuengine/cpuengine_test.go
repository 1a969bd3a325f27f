package cpuengine_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Source whose rows lie in memory.
type memory struct {
	rowBytes int
	data     []byte
	reads    atomic.Int64
	fail     int // row that cannot be read, or 0
	onRead   func()
}

func (m *memory) ReadRows(dst []byte, first, n int) error {
	m.reads.Add(1)
	if m.onRead != nil {
		m.onRead()
	}
	if m.fail > 0 && first+n > m.fail {
		return fmt.Errorf("row %d is unreadable", m.fail)
	}
	copy(dst, m.data[first*m.rowBytes:][:n*m.rowBytes])
	return nil
}

// random fills a source of rows × cols values of the section's dtype.
func random(s cpuengine.Section, rng *rand.Rand) *memory {
	size := 4
	if s.Dtype == cpuengine.DtypeBF16 {
		size = 2
	}
	m := &memory{rowBytes: s.Cols * size, data: make([]byte, s.Rows*s.Cols*size)}
	for i := range m.data {
		m.data[i] = byte(rng.Uint32())
	}
	return m
}

// example is a model of one layer: everything a program may hold.
func example(dtype string) (*cpuengine.Program, []cpuengine.Section) {
	const vocab, hidden, heads, kv, head, ffn = 37, 24, 4, 2, 6, 21
	p := &cpuengine.Program{
		VocabSize: vocab, HiddenSize: hidden, NumLayers: 1, MaxPositionEmbeddings: 64, WeightDtype: dtype,
		Buffers: []cpuengine.Buffer{
			{Name: "x", Width: hidden},
			{Name: "normed", Width: hidden, LinearInput: true},
			{Name: "qkv", Width: (heads + 2*kv) * head},
			{Name: "attended", Width: heads * head, LinearInput: true},
			{Name: "x selected", Width: hidden, Selected: true},
			{Name: "normed selected", Width: hidden, Selected: true, LinearInput: true},
			{Name: "gated", Width: 2 * ffn, Selected: true},
			{Name: "activated", Width: ffn, Selected: true, LinearInput: true},
			{Name: "logits", Width: vocab, Selected: true},
		},
		Ops: []cpuengine.Op{
			{Kind: cpuengine.OpEmbedding, Name: strings.Repeat("vocab_embedding ", 40), In: -1, Out: 0, Weight: 0, Bias: -1, InvFreq: -1, OutFactor: -1, Width: hidden},
			{Kind: cpuengine.OpNorm, Name: "input_layernorm", In: 0, Out: 1, Weight: 1, Bias: 2, InvFreq: -1, OutFactor: -1, Norm: cpuengine.NormLayer, Epsilon: 1e-5},
			{Kind: cpuengine.OpLinear, Name: "qkv", In: 1, Out: 2, Weight: 3, Bias: 4, InvFreq: -1, OutFactor: -1, N: (heads + 2*kv) * head, K: hidden},
			{Kind: cpuengine.OpAttention, Name: "attention", In: 2, Out: 3, Weight: -1, Bias: -1, InvFreq: 5, OutFactor: -1, Heads: heads, KVHeads: kv, HeadSize: head, RotaryDim: 4, Scale: 0.4},
			{Kind: cpuengine.OpLinear, Name: "dense", In: 3, Out: 0, Weight: 6, Bias: -1, InvFreq: -1, OutFactor: -1, N: hidden, K: heads * head, Accumulate: true},
			{Kind: cpuengine.OpSelect, Name: "select", In: 0, Out: 4, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Width: hidden},
			{Kind: cpuengine.OpNorm, Name: "post_layernorm", In: 4, Out: 5, Weight: 1, Bias: -1, InvFreq: -1, OutFactor: -1, Norm: cpuengine.NormRMS, Epsilon: 1e-5},
			{Kind: cpuengine.OpLinear, Name: "fc|gate", In: 5, Out: 6, Weight: 7, Bias: -1, InvFreq: -1, OutFactor: -1, N: 2 * ffn, K: hidden},
			{Kind: cpuengine.OpActivation, Name: "mlp", In: 6, Out: 7, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Function: cpuengine.FunctionSilu, Gated: true, Width: ffn},
			{Kind: cpuengine.OpLinear, Name: "proj", In: 7, Out: 4, Weight: 8, Bias: -1, InvFreq: -1, OutFactor: -1, N: hidden, K: ffn, Accumulate: true},
			{Kind: cpuengine.OpNorm, Name: "ln_f", In: 4, Out: 5, Weight: 1, Bias: -1, InvFreq: -1, OutFactor: -1, Norm: cpuengine.NormRMS, Epsilon: 1e-5},
			{Kind: cpuengine.OpLinear, Name: "lm_head", In: 5, Out: 8, Weight: 9, Bias: -1, InvFreq: -1, OutFactor: -1, N: vocab, K: hidden},
		},
	}
	f32, panel, rows := cpuengine.DtypeF32, cpuengine.LayoutPanel, cpuengine.LayoutRows
	return p, []cpuengine.Section{
		{Name: "vocab_embedding.weight", Dtype: dtype, Layout: rows, Rows: vocab, Cols: hidden},
		{Name: "norm.weight", Dtype: f32, Layout: rows, Rows: 1, Cols: hidden},
		{Name: "norm.bias", Dtype: f32, Layout: rows, Rows: 1, Cols: hidden},
		{Name: "qkv.weight", Dtype: dtype, Layout: panel, Rows: (heads + 2*kv) * head, Cols: hidden},
		{Name: "qkv.bias", Dtype: f32, Layout: rows, Rows: 1, Cols: (heads + 2*kv) * head},
		{Name: "inv_freq", Dtype: f32, Layout: rows, Rows: 1, Cols: 2},
		{Name: "dense.weight", Dtype: dtype, Layout: panel, Rows: hidden, Cols: heads * head},
		{Name: "fc|gate.weight", Dtype: dtype, Layout: panel, Rows: 2 * ffn, Cols: hidden},
		{Name: "proj.weight", Dtype: dtype, Layout: panel, Rows: hidden, Cols: ffn},
		{Name: "lm_head.weight", Dtype: dtype, Layout: panel, Rows: vocab, Cols: hidden},
	}
}

// write writes an engine of random weights and returns its path and sources.
func write(t testing.TB, p *cpuengine.Program, sections []cpuengine.Section) (string, []*memory) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rank0.engine")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	w, err := cpuengine.NewWriter(f, p, sections)
	require.NoError(t, err)
	w.Workers = 3
	rng := rand.New(rand.NewPCG(1, 2))
	var sources []*memory
	for _, s := range sections {
		sources = append(sources, random(s, rng))
		require.NoError(t, w.WriteSection(context.Background(), sources[len(sources)-1]))
	}
	require.NoError(t, w.Close())
	return path, sources
}

func TestWriteAndOpen(t *testing.T) {
	for _, dtype := range []string{cpuengine.DtypeF32, cpuengine.DtypeBF16} {
		t.Run(dtype, func(t *testing.T) {
			program, sections := example(dtype)
			path, sources := write(t, program, sections)
			file, err := cpuengine.Open(path)
			require.NoError(t, err)
			require.Equal(t, program, file.Program)
			require.Equal(t, path, file.Path)
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.EqualValues(t, len(data), file.Size)
			require.Len(t, file.Sections, len(sections))
			for i, s := range file.Sections {
				require.Zero(t, s.Offset%cpuengine.Alignment(s.Size), s.Name)
				require.Equal(t, naive(s, sources[i].data), data[s.Offset:s.Offset+s.Size], s.Name)
				end := s.Offset + s.Size
				require.Equal(t, make([]byte, (end+63)/64*64-end), data[end:(end+63)/64*64], "zeros behind %s", s.Name)
			}
			var seen int64
			require.NoError(t, file.Verify(context.Background(), func(n int64) { seen = n }))
			var want int64
			for _, s := range file.Sections {
				want += s.Size
			}
			require.Equal(t, want, seen)
		})
	}
}

// naive computes where the package comment puts each value.
func naive(s cpuengine.Section, src []byte) []byte {
	if s.Layout == cpuengine.LayoutRows {
		return src
	}
	panels := (s.Rows + 15) / 16
	if s.Dtype == cpuengine.DtypeF32 {
		out := make([]byte, panels*s.Cols*16*4)
		for n := range s.Rows {
			for k := range s.Cols {
				to := (n/16*s.Cols+k)*16 + n%16
				copy(out[4*to:4*to+4], src[4*(n*s.Cols+k):])
			}
		}
		return out
	}
	pairs := (s.Cols + 1) / 2
	out := make([]byte, panels*pairs*16*2*2)
	for n := range s.Rows {
		for k := range s.Cols {
			to := ((n/16*pairs+k/2)*16+n%16)*2 + k%2
			copy(out[2*to:2*to+2], src[2*(n*s.Cols+k):])
		}
	}
	return out
}

func TestPackPanels(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, shape := range [][2]int{{1, 1}, {1, 2}, {15, 3}, {16, 16}, {17, 7}, {33, 1}, {48, 64}, {100, 31}} {
		for _, dtype := range []string{cpuengine.DtypeF32, cpuengine.DtypeBF16} {
			s := cpuengine.Section{Dtype: dtype, Layout: cpuengine.LayoutPanel, Rows: shape[0], Cols: shape[1]}
			src := random(s, rng).data
			size, err := cpuengine.PackedSize(s)
			require.NoError(t, err)
			got := bytes.Repeat([]byte{0xff}, int(size)) // padding must be cleared, not left
			if dtype == cpuengine.DtypeF32 {
				cpuengine.PackPanelsF32(got, src, s.Rows, s.Cols)
			} else {
				cpuengine.PackPanelsBF16(got, src, s.Rows, s.Cols)
			}
			require.Equal(t, naive(s, src), got, "%s %v", dtype, shape)
		}
	}
}

// A weight of many blocks must come out as if packed at once.
func TestWriteSectionInBlocks(t *testing.T) {
	program, sections := example(cpuengine.DtypeBF16)
	const vocab = 40013
	program.VocabSize = vocab
	program.Buffers[8].Width = vocab
	program.Ops[11].N = vocab
	sections[0].Rows, sections[9].Rows = vocab, vocab
	path, sources := write(t, program, sections)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	s := file.Sections[9]
	require.Greater(t, sources[9].reads.Load(), int64(1))
	require.Zero(t, s.Offset%4096)
	require.True(t, bytes.Equal(naive(s, sources[9].data), data[s.Offset:s.Offset+s.Size]))
	require.NoError(t, file.Verify(context.Background(), nil))
}

func TestWriterErrors(t *testing.T) {
	program, sections := example(cpuengine.DtypeF32)
	begin := func(t *testing.T) (*cpuengine.Writer, string) {
		path := filepath.Join(t.TempDir(), "e")
		f, err := os.Create(path)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		w, err := cpuengine.NewWriter(f, program, sections)
		require.NoError(t, err)
		return w, path
	}
	t.Run("unreadable row", func(t *testing.T) {
		w, _ := begin(t)
		src := random(sections[0], rand.New(rand.NewPCG(0, 0)))
		src.fail = 36
		err := w.WriteSection(context.Background(), src)
		require.ErrorContains(t, err, `section "vocab_embedding.weight", rows 0 to 36: row 36 is unreadable`)
	})
	t.Run("cancelled", func(t *testing.T) {
		w, path := begin(t)
		ctx, cancel := context.WithCancel(context.Background())
		src := random(sections[0], rand.New(rand.NewPCG(0, 0)))
		src.onRead = cancel
		require.ErrorIs(t, w.WriteSection(ctx, src), context.Canceled)
		_, err := cpuengine.Open(path)
		require.ErrorIs(t, err, cpuengine.ErrFormat)
	})
	t.Run("closed early", func(t *testing.T) {
		w, path := begin(t)
		require.ErrorContains(t, w.Close(), "0 of 10 sections are written")
		_, err := cpuengine.Open(path)
		require.ErrorIs(t, err, cpuengine.ErrFormat)
	})
	t.Run("invalid program", func(t *testing.T) {
		bad, sections := example(cpuengine.DtypeF32)
		bad.Ops[2].Weight = 0
		_, err := cpuengine.NewWriter(nil, bad, sections)
		require.ErrorIs(t, err, cpuengine.ErrProgram)
	})
	t.Run("impossible section", func(t *testing.T) {
		p, sections := example(cpuengine.DtypeF32)
		sections[0].Rows = 0
		_, err := cpuengine.NewWriter(nil, p, sections)
		require.ErrorContains(t, err, "dimensions [0, 24]")
	})
}

func TestVerifyFindsFlippedBit(t *testing.T) {
	program, sections := example(cpuengine.DtypeBF16)
	path, _ := write(t, program, sections)
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	var b [1]byte
	at := file.Sections[6].Offset + 5
	_, err = f.ReadAt(b[:], at)
	require.NoError(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], at)
	require.NoError(t, err)

	_, err = cpuengine.Open(path)
	require.NoError(t, err, "opening reads no weights")
	err = file.Verify(context.Background(), nil)
	require.ErrorIs(t, err, cpuengine.ErrFormat)
	require.ErrorContains(t, err, `section "dense.weight"`)

	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, file.Verify(cancelled, nil), context.Canceled)

	require.NoError(t, f.Truncate(file.Size-1000))
	require.Error(t, file.Verify(context.Background(), nil))
}

// rewrite changes header bytes and makes the header's checksum right again.
func rewrite(b []byte, change func(b []byte)) []byte {
	b = bytes.Clone(b)
	change(b)
	binary.LittleEndian.PutUint32(b[4092:], crc32.Checksum(b[:4092], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

func read(b []byte) error {
	_, err := cpuengine.Read(bytes.NewReader(b), int64(len(b)))
	return err
}

func TestOpenRefusesDamage(t *testing.T) {
	program, sections := example(cpuengine.DtypeF32)
	path, _ := write(t, program, sections)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, read(good))
	le := binary.LittleEndian
	table := le.Uint64(good[40:])

	t.Run("every truncation", func(t *testing.T) {
		for n := 0; n < len(good); n += 1 + n/50 {
			require.ErrorIs(t, read(good[:n]), cpuengine.ErrFormat, "%d bytes", n)
		}
		require.ErrorIs(t, read(append(bytes.Clone(good), 0)), cpuengine.ErrFormat)
	})
	t.Run("other version", func(t *testing.T) {
		err := read(rewrite(good, func(b []byte) { le.PutUint32(b[8:], 7) }))
		require.ErrorIs(t, err, cpuengine.ErrVersion)
		require.ErrorContains(t, err, "version 7")
		require.ErrorContains(t, err, "trtgo build --backend cpu")
	})
	for name, change := range map[string]func(b []byte){
		"magic":                  func(b []byte) { b[0] = 'X' },
		"section count":          func(b []byte) { le.PutUint32(b[12:], 9) },
		"huge section count":     func(b []byte) { le.PutUint32(b[12:], math.MaxUint32) },
		"file size":              func(b []byte) { le.PutUint64(b[16:], 1<<40) },
		"program in header":      func(b []byte) { le.PutUint64(b[24:], 0) },
		"program offset huge":    func(b []byte) { le.PutUint64(b[24:], math.MaxUint64) },
		"program size huge":      func(b []byte) { le.PutUint64(b[32:], 1<<50) },
		"program size 1 short":   func(b []byte) { le.PutUint64(b[32:], le.Uint64(b[32:])-1) },
		"table behind the end":   func(b []byte) { le.PutUint64(b[40:], uint64(len(b))) },
		"table size huge":        func(b []byte) { le.PutUint64(b[48:], math.MaxInt64) },
		"program checksum":       func(b []byte) { b[56] ^= 1 },
		"table checksum":         func(b []byte) { b[60] ^= 1 },
		"program byte":           func(b []byte) { b[4096+10] ^= 1 },
		"table byte":             func(b []byte) { b[table+10] ^= 1 },
		"table before programme": func(b []byte) { le.PutUint64(b[40:], 4096) },
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, read(rewrite(good, change)), cpuengine.ErrFormat)
		})
	}
	t.Run("header checksum", func(t *testing.T) {
		b := bytes.Clone(good)
		b[2000] ^= 1
		require.ErrorContains(t, read(b), "header checksum")
	})
	t.Run("not a file", func(t *testing.T) {
		_, err := cpuengine.Open(t.TempDir())
		require.ErrorIs(t, err, cpuengine.ErrFormat)
		_, err = cpuengine.Open(filepath.Join(t.TempDir(), "none"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

// forge replaces program or section table by text, with right checksums.
func forge(t testing.TB, good []byte, edit func(p *cpuengine.Program, s []cpuengine.Section)) []byte {
	t.Helper()
	file, err := cpuengine.Read(bytes.NewReader(good), int64(len(good)))
	require.NoError(t, err)
	file.Program.Ops[0].Name = "vocab_embedding" // makes room for longer fields
	edit(file.Program, file.Sections)
	return encode(t, good, marshal(t, file.Program), marshal(t, file.Sections))
}

func TestOpenRefusesLies(t *testing.T) {
	program, sections := example(cpuengine.DtypeF32)
	path, _ := write(t, program, sections)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, read(forge(t, good, func(*cpuengine.Program, []cpuengine.Section) {})))

	type P = *cpuengine.Program
	type S = []cpuengine.Section
	for name, c := range map[string]struct {
		edit func(p P, s S)
		want string
	}{
		"section outside":      {func(_ P, s S) { s[3].Offset = 1 << 40 }, "does not lie in"},
		"section negative":     {func(_ P, s S) { s[3].Offset = -64 }, "does not lie in"},
		"section in program":   {func(_ P, s S) { s[0].Offset = 4096 }, "does not lie in"},
		"sections overlap":     {func(_ P, s S) { s[3].Offset = s[2].Offset }, "does not lie in"},
		"section misaligned":   {func(_ P, s S) { s[9].Offset -= 4 }, ""},
		"section size":         {func(_ P, s S) { s[3].Size = 1 << 60 }, "needs"},
		"section rows":         {func(_ P, s S) { s[3].Rows = 1 << 60 }, "dimensions"},
		"section dtype":        {func(_ P, s S) { s[3].Dtype = "f64" }, "dtype"},
		"section layout":       {func(_ P, s S) { s[3].Layout = "columns" }, "layout"},
		"weight index":         {func(p P, _ S) { p.Ops[2].Weight = 99 }, "section is 99"},
		"weight negative":      {func(p P, _ S) { p.Ops[2].Weight = -1 }, "section is -1"},
		"weight shape":         {func(p P, _ S) { p.Ops[2].Weight = 6 }, "want f32 [48, 24]"},
		"bias shape":           {func(p P, _ S) { p.Ops[2].Bias = 1 }, "want f32 [1, 48]"},
		"linear of rows":       {func(p P, _ S) { p.Ops[11].Weight = 0 }, "layout rows"},
		"buffer index":         {func(p P, _ S) { p.Ops[2].In = 20 }, "there are 9 buffers"},
		"buffer negative":      {func(p P, _ S) { p.Ops[2].Out = -1 }, "out is -1"},
		"in place":             {func(p P, _ S) { p.Ops[1].Out = 0 }, "both buffer 0"},
		"read before write":    {func(p P, _ S) { p.Ops[2].In = 3; p.Ops[2].K = 24 }, "before it is written"},
		"accumulate unwritten": {func(p P, _ S) { p.Ops[2].Accumulate = true }, "added to before"},
		"width of norm":        {func(p P, _ S) { p.Buffers[1].Width = 25 }, "width 25"},
		"buffer width":         {func(p P, _ S) { p.Buffers[1].Width = 0 }, "width 0"},
		"heads":                {func(p P, _ S) { p.Ops[3].Heads = 3 }, "cannot share"},
		"kv heads":             {func(p P, _ S) { p.Ops[3].KVHeads = 0 }, "cannot share"},
		"head size odd":        {func(p P, _ S) { p.Ops[3].HeadSize = 3 }, "head_size"},
		"head size huge":       {func(p P, _ S) { p.Ops[3].HeadSize = 1 << 40 }, "head_size"},
		"rotary":               {func(p P, _ S) { p.Ops[3].RotaryDim = 8 }, "rotary_dim"},
		"inv freq":             {func(p P, _ S) { p.Ops[3].InvFreq = 1 }, "want f32 [1, 2]"},
		"scale":                {func(p P, _ S) { p.Ops[3].Scale = 0 }, "scale"},
		"window":               {func(p P, _ S) { p.Ops[3].Window = -2 }, "window"},
		"layer":                {func(p P, _ S) { p.Ops[3].Layer = 1 }, "layer is 1"},
		"layers":               {func(p P, _ S) { p.NumLayers = 2 }, "1 attention operations for 2"},
		"norm kind":            {func(p P, _ S) { p.Ops[1].Norm = "batch" }, "norm"},
		"epsilon":              {func(p P, _ S) { p.Ops[1].Epsilon = 0 }, "epsilon"},
		"function":             {func(p P, _ S) { p.Ops[8].Function = "sin" }, "function"},
		"gated width":          {func(p P, _ S) { p.Ops[8].Gated = false }, "width"},
		"kind":                 {func(p P, _ S) { p.Ops[8].Kind = "dance" }, "unknown kind"},
		"vocabulary":           {func(p P, _ S) { p.VocabSize = 36 }, "want f32 [36, 24]"},
		"zero positions":       {func(p P, _ S) { p.MaxPositionEmbeddings = 0 }, "max_position_embeddings"},
		"weight dtype":         {func(p P, _ S) { p.WeightDtype = "bf16" }, "want bf16"},
		"weight dtype unknown": {func(p P, _ S) { p.WeightDtype = "int3" }, "weight_dtype"},
		"select twice":         {func(p P, _ S) { p.Ops = append(p.Ops[:6:6], p.Ops[5:]...) }, "second time"},
		"no select":            {func(p P, _ S) { p.Ops = p.Ops[:5] }, "the last operation"},
		"no operations":        {func(p P, _ S) { p.Ops = nil }, "no operations"},
		"logits not last":      {func(p P, _ S) { p.Ops = p.Ops[:11] }, "the last operation"},
		"unselected logits":    {func(p P, _ S) { p.Ops[11].In = 1 }, "other side"},
		"linear input read":    {func(p P, _ S) { p.Buffers[0].LinearInput = true }, "linear_input"},
		"linear input logits":  {func(p P, _ S) { p.Buffers[8].LinearInput = true }, "linear_input"},
		"input scale":          {func(p P, _ S) { p.Ops[2].InputScale = -1 }, "input_scale is -1"},
		"input scale buffer":   {func(p P, _ S) { p.Buffers[1].LinearInput = false; p.Ops[2].InputScale = 1 }, "which is no linear_input"},
		"input scales": {func(p P, _ S) {
			again := p.Ops[4]
			again.InputScale = 0.5
			p.Ops = append(p.Ops[:5:5], append([]cpuengine.Op{again}, p.Ops[5:]...)...)
		}, `"attended" is read with input_scale 0 and 0.5`},
	} {
		t.Run(name, func(t *testing.T) {
			err := read(forge(t, good, c.edit))
			require.ErrorIs(t, err, cpuengine.ErrFormat)
			require.ErrorContains(t, err, c.want)
		})
	}
	t.Run("not JSON", func(t *testing.T) {
		require.ErrorIs(t, read(encode(t, good, []byte("{"), []byte("[]"))), cpuengine.ErrFormat)
	})
	t.Run("unknown field", func(t *testing.T) {
		require.ErrorContains(t, read(encode(t, good, []byte(`{"experts":8}`), []byte("[]"))), "experts")
	})
	t.Run("bomb", func(t *testing.T) {
		bomb := append(append([]byte(`{"ops":[{}`), bytes.Repeat([]byte(",{}"), 1<<18)...), "]}"...)
		require.ErrorContains(t, read(encode(t, good, bomb, []byte("[]"))), "elements")
	})
	require.False(t, errors.Is(read(good), cpuengine.ErrFormat))
	// One buffer, rounded in one way until it is written again.
	require.NoError(t, read(forge(t, good, func(p P, _ S) { p.Ops[7].InputScale, p.Ops[11].InputScale = 2, 0.25 })))
}

// packed is a source that gives what it was packed to.
type packed struct {
	*memory
	panelBytes int
	panels     []byte
}

func (p packed) ReadPacked(dst []byte, first, n int) error {
	copy(dst, p.panels[first/16*p.panelBytes:][:(n+15)/16*p.panelBytes])
	return nil
}

// A packed source makes the same file, without being read by rows.
func TestPackedSource(t *testing.T) {
	program, sections := example(cpuengine.DtypeBF16)
	path, sources := write(t, program, sections)
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	again := filepath.Join(t.TempDir(), "again")
	f, err := os.Create(again)
	require.NoError(t, err)
	defer f.Close()
	w, err := cpuengine.NewWriter(f, program, sections)
	require.NoError(t, err)
	for i, s := range sections {
		reads := sources[i].reads.Load()
		var source cpuengine.Source = sources[i]
		if s.Layout == cpuengine.LayoutPanel {
			source = packed{sources[i], (s.Cols + 1) / 2 * 64, naive(s, sources[i].data)}
		}
		require.NoError(t, w.WriteSection(context.Background(), source))
		require.Equal(t, s.Layout == cpuengine.LayoutPanel, sources[i].reads.Load() == reads)
	}
	require.NoError(t, w.Close())
	got, err := os.ReadFile(again)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
