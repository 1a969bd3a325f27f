//go:build cgo && linux

package native

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

// #include "loader.h"
import "C"

// Network is a TensorRT network that is being made, with its builder. Its methods may be
// called by several goroutines; one call runs at a time.
type Network struct {
	library *Library

	mu     sync.Mutex // held by every call
	c      *C.trtgo_network
	pinned runtime.Pinner // the weights
}

// NewNetwork makes an empty, strongly typed network. It must be closed, before the library.
func (l *Library) NewNetwork(o NetworkOptions) (*Network, error) {
	l.calls.Lock()
	defer l.calls.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.c == nil {
		return nil, ErrClosed
	}
	var a arena
	defer a.free()
	options := C.trtgo_network_options{
		struct_size: C.sizeof_trtgo_network_options, name: a.text(o.Name), threads: C.int32_t(o.Threads),
	}
	n := &Network{library: l}
	var failure *C.trtgo_error
	if err := l.failure(C.api_network_create(l.api, l.c, &options, &n.c, &failure), failure); err != nil {
		return nil, err
	}
	l.networks++
	return n, nil
}

// AddInput adds an input.
func (n *Network) AddInput(in Input) (Tensor, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.c == nil {
		return Tensor{}, ErrClosed
	}
	if in.Names != nil && len(in.Names) != len(in.Dims) {
		return Tensor{}, &Error{StatusInvalid, "AddInput", fmt.Sprintf("input %q has %d dimensions and %d names", in.Name, len(in.Dims), len(in.Names))}
	}
	var a arena
	defer a.free()
	var names **C.char
	if in.Names != nil {
		names = unsafe.SliceData(a.texts(in.Names))
	}
	var tensor C.trtgo_tensor
	var failure *C.trtgo_error
	status := C.api_network_add_input(n.library.api, n.c, a.text(in.Name), a.text(in.Type), C.int32_t(len(in.Dims)), a.int64s(in.Dims),
		names, &tensor, &failure)
	if err := n.library.failure(status, failure); err != nil {
		return Tensor{}, err
	}
	return tensorOf(&tensor), nil
}

// mostOutputs is how many outputs a layer may have here.
const mostOutputs = 64

// AddLayer adds a layer and returns its outputs with what TensorRT says about them. After an
// error the network can only be closed.
func (n *Network) AddLayer(l Layer) ([]Tensor, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.c == nil {
		return nil, ErrClosed
	}
	var a arena
	defer a.free()
	fields, err := a.fields(l.Fields)
	if err != nil {
		return nil, err
	}
	inputs := slice[C.int32_t](&a, len(l.Inputs))
	for i, id := range l.Inputs {
		inputs[i] = C.int32_t(id)
	}
	layer := (*C.trtgo_layer)(a.bytes(C.sizeof_trtgo_layer))
	*layer = C.trtgo_layer{
		struct_size: C.sizeof_trtgo_layer, kind: a.text(l.Kind), name: a.text(l.Name),
		inputs: unsafe.SliceData(inputs), num_inputs: C.int32_t(len(inputs)),
		fields: unsafe.SliceData(fields), num_fields: C.int32_t(len(fields)),
	}
	if l.Kind == "Plugin" {
		layer.creator, layer.version, layer.plugin_namespace = a.text(l.Creator), a.text(l.Version), a.text(l.Namespace)
	}
	layer.weights_name = a.optional(l.WeightsName)
	if len(l.Weights) > 0 {
		data := unsafe.Pointer(unsafe.SliceData(l.Weights))
		n.pinned.Pin(data) // does nothing to memory that is not Go's
		layer.weights, layer.weights_bytes = data, C.int64_t(len(l.Weights))
	}
	outputs := slice[C.trtgo_tensor](&a, mostOutputs)
	count := C.int32_t(mostOutputs)
	var failure *C.trtgo_error
	status := C.api_network_add_layer(n.library.api, n.c, layer, &outputs[0], &count, &failure)
	if err := n.library.failure(status, failure); err != nil {
		return nil, err
	}
	tensors := make([]Tensor, count)
	for i := range tensors {
		tensors[i] = tensorOf(&outputs[i])
	}
	return tensors, nil
}

// MarkOutput makes a tensor an output of the network and names it.
func (n *Network) MarkOutput(tensor int32, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.c == nil {
		return ErrClosed
	}
	var a arena
	defer a.free()
	var failure *C.trtgo_error
	return n.library.failure(C.api_network_mark_output(n.library.api, n.c, C.int32_t(tensor), a.text(name), &failure), failure)
}

// AddProfile adds an optimisation profile. It needs the range of every input that has dimensions of -1.
func (n *Network) AddProfile(ranges []Range) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.c == nil {
		return ErrClosed
	}
	var a arena
	defer a.free()
	list := slice[C.trtgo_range](&a, len(ranges))
	for i, r := range ranges {
		if len(r.Opt) != len(r.Min) || len(r.Max) != len(r.Min) {
			return &Error{StatusInvalid, "AddProfile", fmt.Sprintf("input %q has shapes of %d, %d and %d dimensions", r.Input, len(r.Min), len(r.Opt), len(r.Max))}
		}
		list[i] = C.trtgo_range{
			input: a.text(r.Input), rank: C.int32_t(len(r.Min)), min: a.int64s(r.Min), opt: a.int64s(r.Opt), max: a.int64s(r.Max),
		}
	}
	var failure *C.trtgo_error
	status := C.api_network_add_profile(n.library.api, n.c, unsafe.SliceData(list), C.int32_t(len(list)), &failure)
	return n.library.failure(status, failure)
}

// Close frees the network. A second call does nothing.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.c == nil {
		return
	}
	C.api_network_close(n.library.api, n.c)
	n.c = nil
	n.pinned.Unpin()
	n.library.mu.Lock()
	defer n.library.mu.Unlock()
	n.library.networks--
}

func tensorOf(c *C.trtgo_tensor) Tensor {
	t := Tensor{ID: int32(c.id), Type: C.GoString(c._type), Dims: make([]int64, c.rank)}
	for i := range t.Dims {
		t.Dims[i] = int64(c.dims[i])
	}
	return t
}
