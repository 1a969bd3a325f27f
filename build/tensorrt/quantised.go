package tensorrt

import (
	"fmt"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// quantisedLinear is a linear whose weight is not of plain numbers.
func (l *lowering) quantisedLinear(o *network.Linear, x *graph.Tensor) *graph.Tensor {
	l.b.Fail(fmt.Errorf("%w: %s is quantised by %s", ErrUnsupported, o.Name, o.Quantisation.Algo))
	return x
}
