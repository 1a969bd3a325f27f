package evaluator

import (
	"fmt"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// typed reads type_id, which input 0 must have.
func (c *call) typed() error {
	t, err := dataType(c.fields.int32("type_id"))
	if err == nil && (len(c.in) == 0 || c.in[0].Type != t) {
		err = fmt.Errorf("type_id says %s, the input is %s", t, c.in[0])
	}
	return err
}

// allReduce is the sum over the group by NCCL (strategy 0), nothing fused.
func allReduce(c *call) (*Tensor, error) {
	f, group := c.fields, c.fields.group()
	f.must("strategy", f.int8("strategy"), 0)
	f.must("fusion_op", f.int8("fusion_op"), 0)
	f.float("eps")
	for _, name := range []string{"affine", "bias", "scale"} {
		f.must(name, f.int8(name), 0)
	}
	if err := c.typed(); err != nil {
		return nil, err
	}
	if err := c.inputs(1); err != nil {
		return nil, err
	}
	tensors, err := c.World.exchange(group, c.Rank, "AllReduce", c.in[0])
	if err != nil {
		return nil, err
	}
	out := newTensor(c.in[0].Type, c.in[0].Shape)
	for i := range out.Float {
		sum := 0.0
		for _, t := range tensors {
			sum += float64(t.Float[i])
		}
		out.Float[i] = float32(sum)
	}
	return out, nil
}

// allGather joins the group's tensors along dimension 0.
func allGather(c *call) (*Tensor, error) {
	group := c.fields.group()
	if err := c.typed(); err != nil {
		return nil, err
	}
	if err := c.inputs(1); err != nil {
		return nil, err
	}
	tensors, err := c.World.exchange(group, c.Rank, "AllGather", c.in[0])
	if err != nil {
		return nil, err
	}
	return concatenation(graph.Concatenation{}, tensors)
}

// send gives its input on, too.
func send(c *call) (*Tensor, error) {
	to := c.fields.int32("tgt_rank")
	if err := c.typed(); err != nil {
		return nil, err
	}
	if err := c.inputs(1); err != nil {
		return nil, err
	}
	return c.in[0], c.World.send(c.Rank, to, c.in[0])
}

// receive replaces its input, which is only as large.
func receive(c *call) (*Tensor, error) {
	from := c.fields.int32("src_rank")
	if err := c.typed(); err != nil {
		return nil, err
	}
	if err := c.inputs(1); err != nil {
		return nil, err
	}
	t, err := c.World.receive(from, c.Rank)
	if err == nil && volume(t.Shape) != volume(c.in[0].Shape) {
		err = fmt.Errorf("%s came where %s was to be", t, c.in[0])
	}
	return t, err
}
