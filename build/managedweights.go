package build

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// safetensorsDtypes are those that TensorRT-LLM's runtime reads of weights beside a plan.
var safetensorsDtypes = map[graph.DataType]string{
	graph.Float: "F32", graph.Half: "F16", graph.BF16: "BF16", graph.FP8: "F8_E4M3", graph.Int64: "I64", graph.Int32: "I32", graph.Int8: "I8",
}

// writeManaged writes the weights that are inputs of net, by the inputs' names.
func writeManaged(ctx context.Context, path string, net *graph.Network, source graph.Source, progress func(Phase)) error {
	var infos []safetensors.Info
	var weights []*graph.Weights
	var total, done int64
	for _, in := range net.Inputs {
		w := in.Weight
		if w == nil {
			continue
		}
		dtype, ok := safetensorsDtypes[w.Type]
		if !ok {
			return fmt.Errorf("weights %s: a file of weights has no type %s", w.Name, w.Type)
		}
		infos, weights = append(infos, safetensors.Info{Name: in.Tensor.Name, Dtype: dtype, Shape: w.Shape}), append(weights, w)
		total += w.Bytes()
	}
	file, err := safetensors.Create(path, infos, nil)
	if err != nil {
		return err
	}
	for i, w := range weights {
		err := ctx.Err()
		var data []byte
		if err == nil {
			data, err = w.Values(source)
		}
		if err == nil {
			err = file.WriteAt(infos[i].Name, data, 0)
		}
		if err != nil {
			return errors.Join(err, file.Abort(), os.Remove(path))
		}
		done += w.Bytes()
		progress(Phase{Name: "writing weights", Done: done, Total: total, Bytes: true})
	}
	return file.Close()
}
