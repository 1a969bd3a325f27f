package tensorrt

import (
	"fmt"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// pluginField is a field of a plugin and how its value follows from a call T. Upstream's
// creators look fields up by name, insist on the type, and refuse where one is missing.
type pluginField[T any] struct {
	name  string
	dtype graph.FieldType
	ints  func(T) []int64
	float func(T) float32
}

func (f pluginField[T]) field(call T) graph.Field {
	if f.dtype == graph.FieldFloat32 {
		return graph.Float32Field(f.name, f.float(call))
	}
	return graph.Field{Name: f.name, Type: f.dtype, Ints: f.ints(call)}
}

// i32 and the functions below make fields of one number that depends on the call.
func i32[T any](name string, value func(T) int64) pluginField[T] {
	return pluginField[T]{name: name, dtype: graph.FieldInt32, ints: func(call T) []int64 { return []int64{value(call)} }}
}

func i8[T any](name string, value func(T) int64) pluginField[T] {
	f := i32(name, value)
	f.dtype = graph.FieldInt8
	return f
}

func f32[T any](name string, value func(T) float32) pluginField[T] {
	return pluginField[T]{name: name, dtype: graph.FieldFloat32, float: value}
}

// always gives every call one value.
func always[T any, V any](value V) func(T) V { return func(T) V { return value } }

// pluginDtype is the type that a plugin is told: "auto" is the activations'.
func (p *packed) pluginDtype(setting *string) (graph.DataType, bool) {
	if setting == nil {
		return "", false
	}
	if *setting == "auto" {
		return p.dtype, true
	}
	t, ok := dataTypes[network.Dtype(*setting)]
	return t, ok
}

// checkDtypes refuses plugins of another type than the activations. Those that
// exchange data between ranks may have one: it is cast.
func (p *packed) checkDtypes() error {
	if t, ok := p.pluginDtype(p.plugins.GPTAttentionPlugin); !ok || t != p.dtype {
		return fmt.Errorf("%w: gpt_attention_plugin is %s for activations of %s: say auto", ErrUnsupported, *p.plugins.GPTAttentionPlugin, p.net.Dtype)
	}
	if g := p.plugins.GemmPlugin; g != nil && *g != "fp8" {
		if t, ok := p.pluginDtype(g); !ok || t != p.dtype {
			return fmt.Errorf("%w: gemm_plugin is %s for activations of %s: say auto", ErrUnsupported, *g, p.net.Dtype)
		}
	}
	if m := p.net.Mapping; m.TPSize*m.PPSize > 1 {
		if _, ok := p.pluginDtype(p.plugins.NCCLPlugin); !ok {
			return fmt.Errorf("%w: tp_size %d and pp_size %d need nccl_plugin auto, float32, float16 or bfloat16", ErrUnsupported, m.TPSize, m.PPSize)
		}
	}
	return nil
}

// gemm is what the fields of the GEMM plugin depend on.
type gemm struct {
	dtype graph.DataType // of what comes out
	fp8   bool           // of what goes in
	alpha float32        // multiplies the product
}
