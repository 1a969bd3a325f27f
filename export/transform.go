package export

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// PlanReport says what an export would do: what each tensor of the checkpoint is
// made of.
type PlanReport struct {
	Format       string        `json:"format"`       // of the source
	Architecture string        `json:"architecture"` // in the checkpoint
	Dtype        string        `json:"dtype"`
	QuantAlgo    string        `json:"quant_algo,omitempty"`          // "" for none
	KVCacheAlgo  string        `json:"kv_cache_quant_algo,omitempty"` // "" for none
	Ranks        []PlannedRank `json:"ranks"`
	Tensors      int           `json:"tensors"`   // in all rank files together
	BytesIn      int64         `json:"bytes_in"`  // read from the source; each weight once
	BytesOut     int64         `json:"bytes_out"` // of all rank files together
	Workers      int           `json:"workers"`
	// PeakBytes is the most that the exporter's buffers will hold: workers × (the
	// largest block as the source gives it + its numbers in float32 + the target's
	// bytes + one rank's columns of them). A block has as many rows as have 2 MiB in
	// float32, at least one; the numbers and the target's bytes are needed where the
	// dtype changes, the columns where a rank has not all of them.
	PeakBytes int64 `json:"peak_bytes"`
	// Notes are sentences that the user should read.
	Notes []string `json:"notes,omitempty"`
}

// PlannedRank is one file.
type PlannedRank struct {
	File        string          `json:"file"`
	Bytes       int64           `json:"bytes"`        // of the file, with its header
	TensorBytes int64           `json:"tensor_bytes"` // without it
	Tensors     []PlannedTensor `json:"tensors"`
}

// PlannedTensor is one tensor of a rank.
type PlannedTensor struct {
	Name    string        `json:"name"`
	Dtype   string        `json:"dtype"`
	Shape   []int64       `json:"shape"`
	Bytes   int64         `json:"bytes"`
	BytesIn int64         `json:"bytes_in"` // that its parts have in the source
	Parts   []PlannedPart `json:"parts"`
}

// PlannedPart is where rows of a tensor come from: the rectangle of Rows rows from
// Row and Columns columns from Column of the source's tensor, after its reader's
// transforms.
type PlannedPart struct {
	Source    string `json:"source"`          // "" for zeros and for scales made of others
	Dtype     string `json:"dtype,omitempty"` // as it is stored there
	At        int64  `json:"at"`              // the first row in the target
	Row       int64  `json:"row"`
	Rows      int64  `json:"rows"`
	Column    int64  `json:"column"`
	Columns   int64  `json:"columns"`
	Transform string `json:"transform"` // in words: copy, cast BF16->F16, +1, rows 0-127, zeros
}

// Plan tells what Convert would do with the model at path, without reading a weight
// or writing anything: OutputDir is not looked at. Errors are Convert's.
func Plan(ctx context.Context, path string, o Options) (*PlanReport, error) {
	m, err := Open(ctx, path, o.Source)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return PlanModel(m, o)
}

// PlanModel is [Plan] for an open source, which stays open.
func PlanModel(m source.Model, o Options) (*PlanReport, error) {
	o.OutputDir = cmp.Or(o.OutputDir, ".")
	if err := o.validate(); err != nil {
		return nil, err
	}
	c, err := target(m.Config(), o)
	if err != nil {
		return nil, err
	}
	jobs, err := plan(inGroups(m, c), c)
	if err != nil {
		return nil, err
	}
	r := &PlanReport{
		Format: m.Format(), Architecture: c.Architecture, Dtype: c.Dtype, Notes: m.Notes(),
		QuantAlgo: c.Quantization.QuantAlgo, KVCacheAlgo: c.Quantization.KVCacheQuantAlgo,
		Workers: workersOf(o.Workers), PeakBytes: int64(workersOf(o.Workers)) * peakBytes(jobs),
	}
	stored := inventory(m)
	parts, err := r.addRanks(c)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		j := &jobs[i]
		info := stored.of(j)
		r.BytesIn += share(info, j.Shape[0]*j.cols)
		for _, at := range j.Placements {
			t := parts[place{at.Rank, at.Tensor}]
			t.BytesIn += share(info, at.Rows*at.Columns)
			t.Parts = append(t.Parts, j.part(info, at))
		}
	}
	for _, t := range parts {
		t.pad()
	}
	return r, nil
}

// place names a tensor of a rank.
type place struct {
	rank   int
	tensor string
}

// addRanks lists all files with their tensors, which it also returns by name.
func (r *PlanReport) addRanks(c *checkpoint.Config) (map[place]*PlannedTensor, error) {
	byPlace := map[place]*PlannedTensor{}
	for rank := range c.Mapping.WorldSize {
		planned := PlannedRank{File: checkpoint.RankName(rank)}
		var infos []safetensors.Info
		for _, t := range c.RankTensors(rank) {
			dtype := cmp.Or(t.Dtype, checkpoint.SafetensorsDtype(c.Dtype))
			n, err := safetensors.Size(dtype, t.Shape)
			if err != nil {
				return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
			}
			infos = append(infos, safetensors.Info{Name: t.Name, Dtype: dtype, Shape: t.Shape})
			planned.Tensors = append(planned.Tensors, PlannedTensor{Name: t.Name, Dtype: dtype, Shape: t.Shape, Bytes: n})
			planned.TensorBytes += n
		}
		var err error
		if planned.Bytes, err = safetensors.FileSize(infos, nil); err != nil {
			return nil, err
		}
		r.Tensors += len(planned.Tensors)
		r.BytesOut += planned.Bytes
		r.Ranks = append(r.Ranks, planned)
		for i := range planned.Tensors {
			byPlace[place{rank, planned.Tensors[i].Name}] = &planned.Tensors[i]
		}
	}
	return byPlace, nil
}

// pad names the rows that no weight covers.
func (t *PlannedTensor) pad() {
	end := int64(0)
	for _, p := range t.Parts {
		end = max(end, p.At+p.Rows)
	}
	if missing := t.Shape[0] - end; missing > 0 {
		t.Parts = append(t.Parts, PlannedPart{At: end, Rows: missing, Columns: t.Bytes / t.Shape[0] / width(t.Dtype), Transform: "zeros (padding)"})
	}
}

// part describes one placement of the job.
func (j *job) part(info source.Info, at checkpoint.Placement) PlannedPart {
	p := PlannedPart{
		Source: j.from.Origin, Dtype: info.Dtype, At: at.At,
		Row: at.Row, Rows: at.Rows, Column: at.Column, Columns: at.Columns,
	}
	words := j.words(info.Dtype)
	if j.from.Rows == nil {
		p.Source, p.Dtype = "", ""
	}
	if at.Rows < j.Shape[0] {
		words = append(words, fmt.Sprintf("rows %d-%d", at.Row, at.Row+at.Rows-1))
	}
	if at.Columns < j.cols {
		words = append(words, fmt.Sprintf("columns %d-%d", at.Column, at.Column+at.Columns-1))
	}
	if len(words) == 0 {
		words = []string{"copy"}
	}
	p.Transform = strings.Join(words, ", ")
	return p
}

// words tell what happens to the numbers; none is a copy.
func (j *job) words(stored string) []string {
	var words []string
	if j.from.Transform != "" {
		words = append(words, j.from.Transform)
	}
	switch {
	case j.from.Rows == nil:
		return []string{"zeros"}
	case strings.HasSuffix(j.Name, checkpoint.KVCacheScale):
		return []string{"larger scale of keys and values"}
	case j.from.Origin == "":
		return []string{"largest scale of the linear's weights or inputs"}
	case j.codes != nil:
		words = append(words, "rescaled")
	case j.values != nil:
		words = append(words, "dequantised "+floatformat.E4M3+"->"+j.Dtype)
	default:
		if floatformat.Size(stored) == 0 {
			stored = j.from.Dtype
		}
		if stored != j.Dtype {
			words = append(words, "cast "+stored+"->"+j.Dtype)
		}
	}
	return words
}

// share gives the bytes that n values of a stored tensor take there.
func share(info source.Info, n int64) int64 {
	all := int64(1)
	for _, d := range info.Shape {
		all *= d
	}
	if all == 0 {
		return 0
	}
	return int64(float64(info.Bytes) / float64(all) * float64(n))
}

// storedTensors are the source's own by name.
type storedTensors map[string]source.Info

func inventory(m source.Model) storedTensors {
	s := storedTensors{}
	for _, info := range m.Inventory() {
		s[info.Name] = info
	}
	return s
}

// fused names the tensor of a checkpoint that has the rows of q, k and v.
var fused = strings.NewReplacer(".attention.q.", ".attention.qkv.", ".attention.k.", ".attention.qkv.", ".attention.v.", ".attention.qkv.")

// of gives what is stored for the job: what the inventory lists under the origin,
// under it without the layer's number in brackets, or where a checkpoint has the
// rows; otherwise what Rows give.
func (s storedTensors) of(j *job) source.Info {
	base, _, _ := strings.Cut(j.from.Origin, "[")
	for _, name := range []string{j.from.Origin, base, fused.Replace(j.from.Origin)} {
		info, ok := s[name]
		if !ok {
			continue
		}
		if info.Dtype == "I8" && floatformat.Size(j.from.Dtype) > 0 { // numbers of 4 bits, two rows in one
			info.Shape = []int64{2 * info.Shape[0], info.Shape[1]}
		}
		return info
	}
	info := source.Info{Name: j.from.Origin, Dtype: j.from.Dtype, Shape: j.Shape}
	if j.from.Rows != nil && j.from.Origin != "" {
		info.Bytes = j.Shape[0] * j.cols * width(j.from.Dtype)
	}
	return info
}
