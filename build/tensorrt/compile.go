package tensorrt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/csrc/native"
)

// ErrDiffers is wrapped by errors about a TensorRT or a plugin library that does not see a network as this package
// does: it may be another release, or there is a mistake here. Nothing is built then.
var ErrDiffers = errors.New("TensorRT differs from what trtgo expects")

// CompileOptions are those of [Compile].
type CompileOptions struct {
	// Release of TensorRT-LLM whose plugins the network has; nil is the newest.
	Release *Release
	// Flags are nvinfer1::BuilderFlag by name without k.
	Flags []string
	// ProfilingVerbosity is "LAYER_NAMES_ONLY", "DETAILED" or "NONE"; "" is TensorRT's default.
	ProfilingVerbosity string
	// Capabilities are the compute capabilities to build for, times ten; TensorRT-RTX only, which builds for those
	// from 8.0 on if there are none. TensorRT builds for the GPU that is there.
	Capabilities []int
	// Threads of the builder; 0 is TensorRT's default.
	Threads int
	// UseTimingCache measures kernels only where TimingCache, which may be nil, does not tell how fast they are.
	// KeepTimingCache gets the cache as the build left it.
	UseTimingCache  bool
	TimingCache     []byte
	KeepTimingCache func([]byte)
	// Progress is called by Compile's goroutine: while layers are added with phase "adding layers", then with TensorRT's
	// phases. It may be nil.
	Progress func(native.Progress)
}

// Compile adds the layers of a network to TensorRT one after another, builds it, and writes the
// plan to out as it comes. The values of constants are read from source, which is not used
// if there are none.
//
// TensorRT's type and dimensions of every input and of every layer's outputs are compared with those of net, and the fields of
// every plugin with those that its creator lists, before anything is built: the error wraps [ErrDiffers]
// and names the layer. What TensorRT refuses is a [*native.Error] with its own words. When ctx ends, Compile waits
// for TensorRT to end its step and returns ctx's error. After an error out may hold a part of a plan.
//
// Several calls may run at once, also of one library.
func Compile(ctx context.Context, lib *native.Library, net *graph.Network, source graph.Source, o CompileOptions, out *os.File) error {
	if o.Release == nil {
		o.Release = Releases[0]
	}
	if err := checkProfiles(net); err != nil {
		return err
	}
	if err := checkPlugins(lib, net, o.Release); err != nil {
		return err
	}
	target, err := lib.NewNetwork(native.NetworkOptions{Name: net.Name, Threads: o.Threads})
	if err != nil {
		return err
	}
	defer target.Close()
	r := replay{target: target, source: source, ids: map[*graph.Tensor]int32{}, refit: slices.ContainsFunc(o.Flags, refits)}
	if err := r.network(ctx, net, o.Progress); err != nil {
		return err
	}
	err = target.Build(ctx, native.BuildOptions{
		Flags: o.Flags, ProfilingVerbosity: o.ProfilingVerbosity, Capabilities: o.Capabilities,
		UseTimingCache: o.UseTimingCache, TimingCache: o.TimingCache, Progress: o.Progress,
	}, out)
	if err != nil || !o.UseTimingCache || o.KeepTimingCache == nil {
		return err
	}
	cache, err := target.TimingCache()
	if err != nil {
		return err
	}
	o.KeepTimingCache(cache)
	return nil
}

// checkProfiles: a network that is only computed or written needs none, one that is built does.
func checkProfiles(net *graph.Network) error {
	for _, in := range net.Inputs {
		open := slices.ContainsFunc(in.Tensor.Shape, func(d graph.Dim) bool { return d.Size < 0 })
		if open && len(net.Profiles) == 0 {
			return fmt.Errorf("%w: it has no profile, and the runtime says the shape %s of input %s", graph.ErrInvalid, in.Tensor.Shape, in.Tensor.Name)
		}
	}
	return nil
}

// refits tells whether a flag is for plans whose weights are given later, by name.
func refits(flag string) bool {
	return flag == "REFIT" || flag == "REFIT_INDIVIDUAL" || flag == "STRIP_PLAN"
}

// replay makes the calls of a recorded network.
type replay struct {
	target *native.Network
	source graph.Source
	ids    map[*graph.Tensor]int32 // TensorRT's numbers
	refit  bool                    // weights of the checkpoint get their names
}

func (r *replay) network(ctx context.Context, net *graph.Network, progress func(native.Progress)) error {
	for _, in := range net.Inputs {
		if err := r.input(in.Tensor); err != nil {
			return err
		}
	}
	for i, l := range net.Layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.layer(l); err != nil {
			return err
		}
		if progress != nil {
			progress(native.Progress{Phase: "adding layers", Done: i + 1, Total: len(net.Layers)})
		}
	}
	for _, out := range net.Outputs {
		id, ok := r.ids[out.Tensor]
		if !ok {
			return fmt.Errorf("%w: no layer writes output %s", graph.ErrInvalid, out.Name)
		}
		if err := r.target.MarkOutput(id, out.Name); err != nil {
			return err
		}
	}
	for p := range net.Profiles {
		if err := r.profile(net, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) input(t *graph.Tensor) error {
	names := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		names[i] = d.Name
	}
	got, err := r.target.AddInput(native.Input{Name: t.Name, Type: string(t.Type), Dims: t.Shape.Sizes(), Names: names})
	if err != nil {
		return err
	}
	r.ids[t] = got.ID
	return compare(fmt.Sprintf("input %s", t.Name), t, got)
}

// layer adds a layer and compares its outputs.
func (r *replay) layer(l graph.Layer) error {
	add := native.Layer{Kind: l.Op.Kind(), Name: l.Name, Fields: nativeFields(l.Op.Fields())}
	switch op := l.Op.(type) {
	case graph.Constant:
		data, err := op.Weights.Values(r.source)
		if err != nil {
			return err
		}
		add.Weights = data
		if r.refit && len(op.Weights.From) > 0 {
			add.WeightsName = op.Weights.Name
		}
	case graph.Plugin:
		add.Creator, add.Version, add.Namespace = op.Creator, op.Version, op.Namespace
	}
	for i, in := range l.Inputs {
		id, ok := r.ids[in]
		if in == nil {
			id = -1
		} else if !ok {
			return fmt.Errorf("%w: layer %s: input %d is written by no layer before it", graph.ErrInvalid, l.Name, i)
		}
		add.Inputs = append(add.Inputs, id)
	}
	outputs, err := r.target.AddLayer(add)
	if err != nil {
		return err
	}
	if len(outputs) != len(l.Outputs) {
		return fmt.Errorf("%w: layer %s has %d outputs, want %d", ErrDiffers, l.Name, len(outputs), len(l.Outputs))
	}
	for i, out := range l.Outputs {
		r.ids[out] = outputs[i].ID
		if err := compare(fmt.Sprintf("output %d of layer %s", i, l.Name), out, outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// compare compares a tensor with what TensorRT says about it.
func compare(what string, want *graph.Tensor, got native.Tensor) error {
	if got.Type == string(want.Type) && slices.Equal(got.Dims, want.Shape.Sizes()) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s%v, want %s%v (%s)", ErrDiffers, what, got.Type, got.Dims, want.Type, want.Shape.Sizes(), want.Shape)
}

func (r *replay) profile(net *graph.Network, p int) error {
	var ranges []native.Range
	for _, in := range net.Inputs {
		least, best, most, err := net.Bounds(p, in)
		if err != nil {
			return err
		}
		ranges = append(ranges, native.Range{Input: in.Tensor.Name, Min: least, Opt: best, Max: most})
	}
	if err := r.target.AddProfile(ranges); err != nil {
		return fmt.Errorf("profile %d: %w", p, err)
	}
	return nil
}

// nativeTypes are the binding's names of the types of fields.
var nativeTypes = map[graph.FieldType]native.FieldType{
	graph.FieldInt8: native.Int8, graph.FieldInt32: native.Int32, graph.FieldInt64: native.Int64,
	graph.FieldFloat32: native.Float32, graph.FieldText: native.TextType,
}

func nativeFields(fields []graph.Field) []native.Field {
	list := make([]native.Field, len(fields))
	for i, f := range fields {
		list[i] = native.Field{Name: f.Name, Type: nativeTypes[f.Type], Ints: f.Ints, Floats: f.Floats, Text: f.Text}
	}
	return list
}

// checkPlugins compares the fields of each plugin with those that the library's creator lists.
func checkPlugins(lib *native.Library, net *graph.Network, r *Release) error {
	type key struct{ creator, version, namespace string }
	listed := map[key][]native.PluginField{}
	for _, l := range net.Layers {
		p, ok := l.Op.(graph.Plugin)
		if !ok {
			continue
		}
		k := key{p.Creator, p.Version, p.Namespace}
		if _, ok := listed[k]; !ok {
			fields, err := lib.PluginFields(p.Creator, p.Version, p.Namespace)
			if err != nil {
				return fmt.Errorf("layer %s: %w", l.Name, err)
			}
			listed[k] = fields
		}
		if err := checkFields(p, listed[k], r.FieldDifferences(p.Creator)); err != nil {
			return fmt.Errorf("%w, release %s: layer %s: %w", ErrDiffers, r.Version, l.Name, err)
		}
	}
	return nil
}

// checkFields compares what a plugin is given with what its creator lists.
func checkFields(p graph.Plugin, listed []native.PluginField, known FieldDifferences) error {
	types := map[string]string{}
	for _, f := range listed {
		types[f.Name] = f.Type
	}
	for _, f := range p.Attributes {
		listedType, ok := types[f.Name]
		if !ok && !slices.Contains(known.Unlisted, f.Name) {
			return fmt.Errorf("the library's plugin %s has no field %s", p.Creator, f.Name)
		}
		if ok && listedType != string(f.Type) {
			return fmt.Errorf("field %s of the library's plugin %s has type %s, want %s", f.Name, p.Creator, listedType, f.Type)
		}
		delete(types, f.Name)
	}
	for _, f := range listed {
		if _, ok := types[f.Name]; ok && !slices.Contains(known.Unsent, f.Name) {
			return fmt.Errorf("the library's plugin %s has a field %s of type %s that is not known", p.Creator, f.Name, f.Type)
		}
	}
	return nil
}
