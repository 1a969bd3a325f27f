package doctor

import (
	"slices"

	"github.com/trtgo/trtgo/internal/engineconfig"
)

// noRunner says what this release does not do with a backend's engines.
var noRunner = map[string]string{
	engineconfig.BackendTensorRTRTX: "this release builds for TensorRT-RTX, and has no runner for it yet",
}

// Backends are those that there are.
var Backends = []string{engineconfig.BackendCPU, engineconfig.BackendTensorRTLLM, engineconfig.BackendTensorRTRTX}

// judge says what each backend can do, and answers the question.
func (e *examination) judge(asked string) {
	if asked == "" {
		asked = engineconfig.BackendCPU
		if e.Engine != nil && e.Engine.Backend != "" {
			asked = e.Engine.Backend
		}
	}
	e.Backend = asked
	cpuWorks := e.CPU.Error == ""
	for _, name := range Backends {
		b := Backend{Name: name, Build: true, Run: cpuWorks}
		if name != engineconfig.BackendCPU {
			b = Backend{Name: name, Build: e.ready(name), Note: noRunner[name]}
			b.Run = name == engineconfig.BackendTensorRTLLM && b.Build && !e.runBroken
			if name == engineconfig.BackendTensorRTLLM && !b.Build {
				b.Note = "without its libraries build --network_only writes the network"
			} else if b.Run {
				b.Note = "tested without a GPU only, over a stand-in for TensorRT-LLM; docker/verify.sh tries it here"
			}
		}
		e.Backends = append(e.Backends, b)
		if name == asked {
			e.OK = b.Build && (b.Run || noRunner[name] != "")
		}
	}
	if e.Engine == nil {
		return
	}
	i := slices.IndexFunc(e.Backends, func(b Backend) bool { return b.Name == e.Engine.Backend })
	runs := i >= 0 && e.Backends[i].Run
	if i >= 0 && !runs && !e.engineBroken {
		e.engineProblem("the engine is for "+e.Engine.Backend+", which cannot run here", "build the model again with trtgo build --backend cpu")
	}
	e.OK = e.OK && runs && !e.engineBroken
}

// ready tells whether nothing that a backend for GPUs needs is missing or broken.
func (e *examination) ready(backend string) bool {
	for _, l := range e.libraries {
		if l.component.needed && l.broken && slices.Contains(l.Backends, backend) {
			return false
		}
	}
	return backend != engineconfig.BackendTensorRTLLM || len(e.GPUs) > 0
}
