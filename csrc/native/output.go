//go:build cgo && linux

package native

import "unsafe"

// #include "loader.h"
import "C"

// sizes has the bytes of a number of each type of an [Array].
var sizes = map[string]int{"FLOAT": 4, "HALF": 2, "BF16": 2}

// view makes o show an output. What it points to stays native memory.
func (o *Output) view(c *C.trtgo_output) {
	*o = Output{
		ID: uint64(c.id), ClientID: uint64(c.client_id), Final: c.final != 0, Beam: int(c.beam), NumBeams: int(c.num_beams),
		FinishReason: int(c.finish_reason), CumLogProb: float32(c.cum_log_prob), ReusedBlocks: int(c.reused_blocks),
		Tokens:    unsafe.Slice((*int32)(c.tokens), int(c.num_tokens)),
		LogProbs:  unsafe.Slice((*float32)(c.log_probs), int(c.num_log_probs)),
		Scheduled: int64(c.scheduled), FirstToken: int64(c.first_token), LastToken: int64(c.last_token),
	}
	if c.error != nil {
		o.Error = C.GoString(c.error)
		if o.Error == "" {
			o.Error = "the request failed, and TensorRT-LLM does not say why"
		}
	}
	for _, a := range []struct {
		c  *C.trtgo_array
		to *Array
	}{{&c.context_logits, &o.ContextLogits}, {&c.generation_logits, &o.GenerationLogits}} {
		if a.c.data != nil {
			a.to.view(a.c)
		}
	}
}

// view makes a show numbers. Those of a type that is not in sizes have no data: they are the concern of the one request
// whose they are.
func (a *Array) view(c *C.trtgo_array) {
	a.Type = typeName(c._type)
	a.Dims = unsafe.Slice((*int64)(&c.dims[0]), int(c.rank))
	size := int64(sizes[a.Type])
	if size == 0 {
		return
	}
	for _, d := range a.Dims {
		if d < 0 { // the last output of one that was cancelled: TensorRT-LLM slices what its tokens take back
			*a = Array{}
			return
		}
		size *= d
	}
	a.Data = unsafe.Slice((*byte)(c.data), int(size))
}

// typeName returns a name of sizes, for which nothing is allocated, or a copy of another.
func typeName(c *C.char) string {
	if c == nil {
		return ""
	}
	length := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(c), length)) != 0 {
		length++
	}
	switch text := unsafe.Slice((*byte)(unsafe.Pointer(c)), length); string(text) {
	case "FLOAT":
		return "FLOAT"
	case "HALF":
		return "HALF"
	case "BF16":
		return "BF16"
	default:
		return string(text)
	}
}
