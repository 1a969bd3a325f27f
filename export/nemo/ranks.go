package nemo

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/chunked"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/torchzip"
)

const (
	weightsFile = "model_weights.ckpt"
	maxRanks    = 1 << 16 // of either kind
)

// rankDirs matches the directories that model-parallel ranks save to.
var rankDirs = regexp.MustCompile(`^(?:mp_rank_(\d{2,})|tp_rank_(\d{2,})_pp_rank_(\d{3,}))/` + regexp.QuoteMeta(weightsFile) + `$`)

// rank is the state dict of one model-parallel rank.
type rank struct {
	tensor, pipeline int64
	file             string
	params           map[string]param // by name, layers counted within the stage
}

// openRanks opens model_weights.ckpt, be it one or one for each rank, and merges.
func (m *Model) openRanks(t filetree.Tree) error {
	var ranks []rank
	for _, name := range t.Names() {
		r := rank{file: name}
		if match := rankDirs.FindStringSubmatch(name); match != nil {
			r.tensor = parse(match[1] + match[2])
			r.pipeline = parse(match[3])
		} else if name != weightsFile {
			continue
		}
		ranks = append(ranks, r)
	}
	if err := m.checkRanks(ranks); err != nil {
		return err
	}
	for i := range ranks {
		if err := m.readRank(t, &ranks[i]); err != nil {
			return err
		}
	}
	return m.merge(ranks)
}

func parse(digits string) int64 {
	n, _ := strconv.ParseInt(digits, 10, 32) // the expression matched digits; none is 0
	return n
}

// checkRanks checks that there is a file for each rank of the config, and sorts
// them: stages first.
func (m *Model) checkRanks(ranks []rank) error {
	slices.SortFunc(ranks, func(a, b rank) int {
		if a.pipeline != b.pipeline {
			return int(a.pipeline - b.pipeline)
		}
		return int(a.tensor - b.tensor)
	})
	tp, pp := m.settings.tensorParallel, m.settings.pipelineParallel
	if len(ranks) == 1 && ranks[0].file == weightsFile {
		tp, pp = 1, 1 // a file that was merged by hand keeps the config's sizes
	}
	if tp < 1 || pp < 1 || tp > maxRanks || pp > maxRanks {
		return fmt.Errorf("%w: tensor_model_parallel_size %d and pipeline_model_parallel_size %d are not between 1 and %d", checkpoint.ErrInvalid, tp, pp, maxRanks)
	}
	if len(ranks) == 0 {
		return fmt.Errorf("%w: there are no weights: neither %s nor a directory model_weights, mp_rank_00 or tp_rank_00_pp_rank_000", checkpoint.ErrInvalid, weightsFile)
	}
	if int64(len(ranks)) != tp*pp {
		return fmt.Errorf("%w: the weights of %d ranks are there, the config has tensor_model_parallel_size %d × pipeline_model_parallel_size %d", checkpoint.ErrInvalid, len(ranks), tp, pp)
	}
	for i, r := range ranks {
		if r.tensor != int64(i)%tp || r.pipeline != int64(i)/tp {
			return fmt.Errorf("%w: the weights of tensor-parallel rank %d of stage %d are missing", checkpoint.ErrInvalid, int64(i)%tp, int64(i)/tp)
		}
	}
	if pp > 1 && m.settings.virtualStages > 1 {
		return fmt.Errorf("files of ranks that were saved with virtual_pipeline_model_parallel_size %d are %w: the layers of their stages are interleaved; save the model as a distributed checkpoint", m.settings.virtualStages, checkpoint.ErrUnsupported)
	}
	if m.settings.numLayers%pp != 0 {
		return fmt.Errorf("%w: num_layers %d is no multiple of pipeline_model_parallel_size %d", checkpoint.ErrInvalid, m.settings.numLayers, pp)
	}
	m.settings.tensorParallel, m.settings.pipelineParallel = tp, pp
	return nil
}

// readRank reads the directory of one rank's file.
func (m *Model) readRank(t filetree.Tree, r *rank) error {
	f, err := t.Open(r.file)
	if err != nil {
		return err
	}
	file, err := torchzip.New(f, f.Size(), r.file, torchzip.Options{})
	if err != nil {
		return err
	}
	dict, err := file.Tensors()
	if err != nil {
		return err
	}
	one := params{list: map[string]param{}}
	for _, key := range dict.Names {
		v := dict.Tensors[key]
		if err := one.add(key, param{ReaderAt: v, dtype: v.Dtype, shape: v.Shape}); err != nil {
			return fmt.Errorf("%s: %w", r.file, err)
		}
		m.params.files[key] = r.file
	}
	r.params = one.list
	return nil
}

// merge joins the ranks' parameters into the model's.
func (m *Model) merge(ranks []rank) error {
	tp, perStage := m.settings.tensorParallel, m.settings.numLayers/m.settings.pipelineParallel
	for first := int64(0); first < int64(len(ranks)); first += tp {
		stage := ranks[first : first+tp]
		for _, r := range stage {
			for _, err := range []error{stage[0].lacks(r), r.lacks(stage[0])} {
				if err != nil {
					return err
				}
			}
		}
		splitHalves := slices.ContainsFunc(slices.Collect(maps.Keys(stage[0].params)), secondHalf)
		for _, name := range slices.Sorted(maps.Keys(stage[0].params)) {
			parts := make([]param, tp)
			for i, r := range stage {
				parts[i] = r.params[name]
			}
			whole, err := m.join(name, parts, splitHalves)
			if err != nil {
				return err
			}
			global, ok := renumber(name, stage[0].pipeline*perStage, perStage)
			if !ok {
				return fmt.Errorf("%w: %s: %s is beyond the %d layers of a stage", checkpoint.ErrInvalid, stage[0].file, name, perStage)
			}
			if _, twice := m.params.list[global]; twice && global != embeddingName {
				return fmt.Errorf("%w: %s is in more than one stage", checkpoint.ErrInvalid, global)
			} else if !twice { // tied models keep a copy of the embedding in the last stage
				m.params.list[global] = whole
			}
		}
	}
	return nil
}

// lacks reports a parameter that another rank of the same stage has and this one
// has not.
func (r rank) lacks(other rank) error {
	for _, name := range slices.Sorted(maps.Keys(other.params)) {
		if _, ok := r.params[name]; !ok {
			return fmt.Errorf("%w: %s has %s and %s has not", checkpoint.ErrInvalid, other.file, name, r.file)
		}
	}
	return nil
}

// renumber counts a stage's layers through all stages.
func renumber(name string, first, perStage int64) (string, bool) {
	match := layerNumber.FindStringSubmatchIndex(name)
	if match == nil {
		return name, true
	}
	layer, err := strconv.ParseInt(name[match[2]:match[3]], 10, 32)
	if err != nil || layer >= perStage {
		return "", false
	}
	return name[:match[2]] + strconv.FormatInt(first+layer, 10) + name[match[3]:], true
}

// join puts the tensor-parallel parts of one parameter together (Megatron-core,
// tensor_parallel/layers.py): column-parallel ones and the vocabulary along rows,
// row-parallel ones along columns, all others are copies.
func (m *Model) join(name string, parts []param, splitHalves bool) (param, error) {
	if len(parts) == 1 {
		return parts[0], nil
	}
	whole := parts[0]
	for i, p := range parts {
		if p.dtype != whole.dtype || !slices.Equal(p.shape, whole.shape) {
			return param{}, fmt.Errorf("%w: %s is %s %v on rank 0 and %s %v on rank %d", checkpoint.ErrInvalid, name, whole.dtype, whole.shape, p.dtype, p.shape, i)
		}
	}
	axis, halves := 0, int64(1)
	switch {
	case len(whole.shape) == 0:
		return whole, nil
	case strings.Contains(name, "linear_qkv.layer_norm_"), strings.Contains(name, "linear_fc1.layer_norm_"):
		return whole, nil
	case name == embeddingName, name == headName, strings.Contains(name, "linear_qkv."), strings.Contains(name, "linear_fc1_2."):
	case strings.Contains(name, "linear_fc1."):
		// A rank's gated rows are its share of the first half, then of the second.
		if m.settings.gated && !splitHalves {
			halves = 2
		}
	case len(whole.shape) == 2 && (strings.HasSuffix(name, "linear_proj.weight") || strings.HasSuffix(name, "linear_fc2.weight")):
		axis = 1
	default:
		return whole, nil
	}
	return concatenate(whole, parts, axis, halves)
}

// concatenate lays the parts side by side along an axis; with two halves, first
// the first half of each part and then the second.
func concatenate(whole param, parts []param, axis int, halves int64) (param, error) {
	n := int64(len(parts))
	shape := slices.Clone(whole.shape)
	shape[axis] *= n
	if whole.shape[0]%halves != 0 {
		return param{}, fmt.Errorf("%w: %s has %d rows, which are no two halves", checkpoint.ErrInvalid, whole.origin, whole.shape[0])
	}
	part := slices.Clone(whole.shape)
	if halves == 2 {
		part[0] /= 2
	}
	bytes := elements(part) * int64(floatformat.Size(whole.dtype))
	var chunks []chunked.Chunk
	for h := range halves {
		for r, p := range parts {
			offset := make([]int64, len(shape))
			offset[axis] = (h*n + int64(r)) * part[axis]
			chunks = append(chunks, chunked.Chunk{Offset: offset, Shape: part, Bytes: p.ReaderAt, At: h * bytes})
		}
	}
	array, err := chunked.New(whole.dtype, shape, chunks)
	if err != nil {
		return param{}, fmt.Errorf("%s: %w", whole.origin, err)
	}
	return param{
		ReaderAt: array, origin: whole.origin, dtype: whole.dtype, shape: shape,
		joined: fmt.Sprintf("%d ranks concatenated", n),
	}, nil
}
