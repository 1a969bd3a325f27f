package tensorrt

import (
	"fmt"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/csrc/native"
)

// CheckPlugins compares the plugins that a library has loaded with those that the networks of a release are made of.
// It returns a sentence for each plugin that is missing or has other fields.
func CheckPlugins(lib *native.Library, r *Release) []string {
	var differences []string
	for _, p := range r.plugins() {
		listed, err := lib.PluginFields(p.Creator, p.Version, p.Namespace)
		if err == nil {
			err = checkFields(p, listed, r.FieldDifferences(p.Creator))
		} else {
			err = fmt.Errorf("plugin %s: %w", p.Creator, err)
		}
		if err != nil {
			differences = append(differences, err.Error())
		}
	}
	return differences
}

// plugins are those of all networks, with the names and types of their fields.
func (r *Release) plugins() []graph.Plugin {
	return []graph.Plugin{
		shapeOf("GPTAttention", r.gptAttention), shapeOf("Gemm", r.gemm), shapeOf("WeightOnlyQuantMatmul", r.weightOnly),
		shapeOf("WeightOnlyGroupwiseQuantMatmul", r.groupwise), shapeOf("AllReduce", r.allReduce), shapeOf("AllGather", r.allGather),
		shapeOf("Send", r.send), shapeOf("Recv", r.recv),
	}
}

// shapeOf is a plugin without values.
func shapeOf[T any](creator string, table []pluginField[T]) graph.Plugin {
	p := graph.Plugin{Creator: creator, Version: "1", Namespace: "tensorrt_llm"}
	for _, f := range table {
		p.Attributes = append(p.Attributes, graph.Field{Name: f.name, Type: f.dtype})
	}
	return p
}
