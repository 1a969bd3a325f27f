package tensorrt

import (
	"fmt"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// Lower returns the network of a rank as TensorRT-LLM's builder makes it: strongly
// typed, tokens packed into rows, attention and collectives as plugins. Errors wrap
// [ErrUnsupported], or graph.ErrInvalid where the network and the options contradict each other.
func Lower(net *network.Network, o Options) (*graph.Network, error) {
	if o.Release == nil {
		o.Release = Releases[0]
	}
	if err := checkOptions(o); err != nil {
		return nil, err
	}
	l, err := newLowering(net, &o.Plugins)
	if err != nil {
		return nil, err
	}
	l.tiedHead = o.TiedHead
	p := &packed{lowering: l, o: o, release: o.Release, inputs: map[string]*graph.Tensor{}}
	l.form = p
	if err := p.checkDtypes(); err != nil {
		return nil, err
	}
	p.declare()
	return l.network()
}

// lowering turns the operations of a network into layers: one method for each. It is
// used once, by one goroutine.
type lowering struct {
	net     *network.Network
	b       *graph.Builder
	form    form
	plugins *engineconfig.Plugin
	dtype   graph.DataType // of the activations

	values  map[*network.Tensor]*graph.Tensor
	weights map[*network.Weight]*graph.Weights
	readers map[*network.Tensor][]network.Op
	// reciprocals are those of weights.
	reciprocals map[*network.Weight]*graph.Weights
	tables      []rotaryTables

	// managed: the matrices of linears are inputs of the network, not values in the plan.
	// managedAll: so are all other weights, but for scales.
	managed, managedAll bool
	// tiedHead: the head's matrix is the embedding's.
	tiedHead bool
	// fused are the linears of gated MLPs that are made together, by their output.
	fused map[*network.Tensor]*network.Linear
}

// form is what the TensorRT-LLM form and the plugin-free form differ in.
type form interface {
	// ids are the token ids, which an embedding reads.
	ids() *graph.Tensor
	// multiply is x·wᵀ; w is [out, in], both are of one type.
	multiply(x, w *graph.Tensor) *graph.Tensor
	// eightBits is x·wᵀ of linears of FP8 whose outputs lie behind one another, without bias.
	eightBits(name string, x *graph.Tensor, linears ...*network.Linear) *graph.Tensor
	// integers is a linear whose weight has 4 or 8 bits.
	integers(o *network.Linear, x *graph.Tensor) *graph.Tensor
	attention(o *network.Attention, qkv *graph.Tensor) *graph.Tensor
	selectLastTokens(x *graph.Tensor) *graph.Tensor
	// logits makes the output of what the head gave.
	logits(x *graph.Tensor)
	allReduce(group []int, x *graph.Tensor) *graph.Tensor
	allGather(group []int, x *graph.Tensor) *graph.Tensor
	send(to int, x *graph.Tensor)
	receive(from int) *graph.Tensor
}

func newLowering(net *network.Network, plugins *engineconfig.Plugin) (*lowering, error) {
	dtype, ok := dataTypes[net.Dtype]
	if !ok {
		return nil, fmt.Errorf("%w: activations of dtype %s", ErrUnsupported, net.Dtype)
	}
	l := &lowering{
		net: net, b: graph.NewBuilder(fmt.Sprintf("rank%d", net.Mapping.Rank)), plugins: plugins, dtype: dtype,
		values: map[*network.Tensor]*graph.Tensor{}, weights: map[*network.Weight]*graph.Weights{}, readers: map[*network.Tensor][]network.Op{},
		reciprocals: map[*network.Weight]*graph.Weights{}, managed: plugins.ManageWeights, fused: map[*network.Tensor]*network.Linear{},
	}
	for _, op := range net.Ops {
		for _, t := range op.Inputs() {
			l.readers[t] = append(l.readers[t], op)
		}
	}
	if plugins.UseFusedMLP {
		l.fuse()
	}
	return l, nil
}

// network lowers operation after operation.
func (l *lowering) network() (*graph.Network, error) {
	for _, op := range l.net.Ops {
		l.b.At(op.OpName())
		l.lower(op)
		if err := l.b.Err(); err != nil {
			return nil, err // what follows would need the tensor that did not come
		}
	}
	return l.b.Network()
}

func (l *lowering) lower(op network.Op) {
	var out *graph.Tensor
	switch o := op.(type) {
	case *network.Embedding:
		out = l.embedding(o)
	case *network.Linear:
		out = l.linear(o)
	case *network.Norm:
		out = l.norm(o)
	case *network.Attention:
		out = l.form.attention(o, l.values[o.In])
	case *network.Activation:
		out = l.activate(o.Function, l.values[o.In])
	case *network.Gated:
		out = l.gated(o)
	case *network.Add:
		out = l.b.ElementWise(l.values[o.A], graph.Sum, l.values[o.B])
	case *network.SelectLastTokens:
		out = l.form.selectLastTokens(l.values[o.In])
	case *network.AllReduce:
		out = l.allReduce(o)
	case *network.AllGather:
		out = l.form.allGather(o.Group, l.values[o.In])
	case *network.Receive:
		out = l.form.receive(o.From)
	case *network.Send:
		l.form.send(o.To, l.values[o.In])
	case *network.Logits:
		l.form.logits(l.values[o.In])
	default:
		l.b.Fail(fmt.Errorf("%w: operation %s (%T)", ErrUnsupported, op.OpName(), op))
	}
	if out != nil {
		l.values[op.Output()] = out
	}
}

// allReduce adds the bias after the sum, where it counts once.
func (l *lowering) allReduce(o *network.AllReduce) *graph.Tensor {
	return l.addBias(l.form.allReduce(o.Group, l.values[o.In]), o.Bias)
}
