package evaluator

import (
	"fmt"

	"github.com/trtgo/trtgo/build/tensorrt/graph"
)

// blockCache is a layer's part of a paged cache.
type blockCache struct {
	gptFields
	in     *gptInputs
	memory *Memory
	typed  bool  // numbers are rounded to dtype
	base   int64 // of the layer's part of block 0
	pool   int64
}

func cacheOf(g gptFields, in *gptInputs, memory *Memory, typed bool) (*blockCache, error) {
	c := &blockCache{gptFields: g, in: in, memory: memory, typed: typed, pool: in.poolMapping[2*g.layer]}
	if c.pool < 0 || 2*c.pool+1 >= int64(len(in.poolPointers)) || c.pool >= in.offsets.Shape[0] {
		return nil, fmt.Errorf("layer %d is in pool %d of %d", g.layer, c.pool, len(in.poolPointers)/2)
	}
	c.base = in.poolPointers[2*c.pool] + in.poolMapping[2*g.layer+1]*2*c.blockBytes()
	return c, nil
}

func (c *blockCache) elementBytes() int64 {
	if c.fp8Cache {
		return 1
	}
	return c.dtype.Bytes(1)
}

// blockBytes is the size of a block of keys, or of values: [KV heads, tokens, head size].
func (c *blockCache) blockBytes() int64 {
	return int64(c.kvHeads*c.tokensPerBlock*c.headSize) * c.elementBytes()
}

// at gives the memory of one token's key (kind 0) or value (1) of one head.
func (c *blockCache) at(index, position, kind, head int) ([]float32, error) {
	blocks := int(c.in.offsets.Shape[3])
	block := position / c.tokensPerBlock
	if index < 0 || index >= int(c.in.offsets.Shape[1]) || block >= blocks {
		return nil, fmt.Errorf("position %d of sequence %d is outside the block table %v", position, index, c.in.offsets.Shape)
	}
	offset := c.in.offsets.Int[((int(c.pool)*int(c.in.offsets.Shape[1])+index)*2+kind)*blocks+block]
	address := c.base + offset*c.blockBytes() + int64((head*c.tokensPerBlock+position%c.tokensPerBlock)*c.headSize)*c.elementBytes()
	return c.memory.At(address, c.headSize, c.elementBytes())
}

func (c *blockCache) write(index, position int, keys, values []float32) error {
	for kind, rows := range [][]float32{keys, values} {
		for h := range c.kvHeads {
			to, err := c.at(index, position, kind, h)
			if err != nil {
				return err
			}
			copy(to, rows[h*c.headSize:])
			switch {
			case c.fp8Cache:
				copy(to, Floats(graph.Float, to, int64(len(to))).quantised(c.in.toQuantised).Float)
			case c.typed:
				copy(to, Floats(c.dtype, to, int64(len(to))).rounded().Float)
			}
		}
	}
	return nil
}

func (c *blockCache) read(index, position, head int) (key, value []float32, err error) {
	rows := [2][]float32{}
	for kind := range rows {
		from, err := c.at(index, position, kind, head)
		if err != nil {
			return nil, nil, err
		}
		rows[kind] = from
		if c.fp8Cache {
			rows[kind] = make([]float32, len(from))
			for i, v := range from {
				rows[kind][i] = v * c.in.fromQuantised
			}
		}
	}
	return rows[0], rows[1], nil
}
