package tensorrt

import (
	"errors"

	"github.com/trtgo/trtgo/internal/engineconfig"
)

// ErrUnsupported is wrapped by errors about what the lowering, or the release, does not have.
var ErrUnsupported = errors.New("not supported by this lowering")

// Options say which engine the network becomes. All limits are set and legal: package build
// applies trtllm-build's defaults and rules.
type Options struct {
	Release *Release // nil is the newest

	MaxBatchSize, MaxBeamWidth int
	MaxInputLen, MaxSeqLen     int    // tokens of a prompt, of prompt and output
	MaxNumTokens, OptNumTokens int    // tokens of a step, all sequences together
	LogitsDtype                string // float32 or float16
	GatherContextLogits        bool   // logits of every token, not only of the last ones
	Plugins                    engineconfig.Plugin
}
