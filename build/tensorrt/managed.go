package tensorrt

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// WriteManagedWeights writes the weights that are inputs of net to a new file at path: by name, in the order
// and with type and shape of the inputs. TensorRT-LLM's runtime opens it
// beside the engine (rank{R}_managed_weights.safetensors) and binds each tensor once.
// Matrices are [out, in] like the parameters of upstream's modules, which since 1.0
// nothing marks need_transpose any more; that the runtime takes them so has not been seen on a GPU.
// Numbers of 4 bits, which only networks for TensorRT-RTX have as inputs, are I8, two in one,
// the last dimension halved.
//
// One weight is in memory at a time, or none where it is mapped as stored. progress, which
// may be nil, gets the bytes written so far, of how many. When ctx ends or something fails, the
// file is removed; the error of a full disk or of ctx is wrapped.
func WriteManagedWeights(ctx context.Context, net *graph.Network, source graph.Source, path string, progress func(done, total int64)) error {
	infos, weights, err := managed(net)
	if err != nil {
		return err
	}
	w, err := safetensors.Create(path, infos, nil)
	if err != nil {
		return err
	}
	if err := writeWeights(ctx, w, weights, source, progress); err != nil {
		w.Abort()
		os.Remove(path)
		return err
	}
	if err := w.Close(); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// managed lists the weights among the inputs.
func managed(net *graph.Network) (infos []safetensors.Info, weights []*graph.Weights, err error) {
	for _, in := range net.Inputs {
		if in.Weight == nil {
			continue
		}
		info, err := managedInfo(in)
		if err != nil {
			return nil, nil, err
		}
		infos, weights = append(infos, info), append(weights, in.Weight)
	}
	return infos, weights, nil
}

// managedInfo describes an input in the types that the runtime understands.
func managedInfo(in graph.Input) (safetensors.Info, error) {
	info := safetensors.Info{Name: in.Tensor.Name, Dtype: safetensorsDtypes[in.Weight.Type], Shape: slices.Clone(in.Weight.Shape)}
	switch in.Weight.Type {
	case graph.Int64:
		info.Dtype = safetensors.I64
	case graph.Int32:
		info.Dtype = safetensors.I32
	case graph.Int4:
		info.Dtype = safetensors.I8
		last := len(info.Shape) - 1
		if last < 0 || info.Shape[last]%2 != 0 {
			return info, fmt.Errorf("%w: weights %s of 4 bits have shape %v: the last dimension has to be even", graph.ErrInvalid, info.Name, info.Shape)
		}
		info.Shape[last] /= 2
	}
	if info.Dtype == "" {
		return info, fmt.Errorf("%w: weights %s are %s, which the runtime's file cannot have", graph.ErrInvalid, info.Name, in.Weight.Type)
	}
	return info, nil
}

// managedChunk is how much is written at a time.
const managedChunk = 16 << 20

func writeWeights(ctx context.Context, w *safetensors.Writer, weights []*graph.Weights, source graph.Source, progress func(done, total int64)) error {
	done, total := int64(0), int64(0)
	for _, weight := range weights {
		total += weight.Bytes()
	}
	for i, weight := range weights {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := weight.Values(source)
		if err != nil {
			return err
		}
		for off := 0; off < len(data); off += managedChunk {
			if err := ctx.Err(); err != nil {
				return err
			}
			chunk := data[off:min(off+managedChunk, len(data))]
			if err := w.WriteAt(w.Tensors()[i].Name, chunk, int64(off)); err != nil {
				return err
			}
			if done += int64(len(chunk)); progress != nil {
				progress(done, total)
			}
		}
	}
	return nil
}
