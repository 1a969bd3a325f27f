package chunked

import (
	"fmt"
	"slices"
	"sort"
)

// grid says which chunk an element lies in. The chunks' edges, continued through
// the whole array, cut it into cells; each cell belongs to one chunk.
type grid struct {
	edges [][]int64 // of each axis: where cells begin, and the axis's length
	owner []int32   // chunk of each cell, row-major
}

// cellsPerChunk bounds the grid: chunks that lie in rows and columns have a cell
// each, and a few more where one axis is divided differently along another.
const (
	cellsPerChunk = 64
	fewCells      = 1 << 16
	mostCells     = 1 << 24
)

// lay finds the cells and gives each to its chunk.
func (a *Array) lay() error {
	g := &a.grid
	cells, most := int64(1), int64(min(mostCells, max(fewCells, cellsPerChunk*len(a.chunks))))
	for axis, n := range a.shape {
		edges := make([]int64, 0, 2*len(a.chunks)+2)
		edges = append(edges, 0, n)
		for i := range a.chunks {
			c := &a.chunks[i]
			edges = append(edges, c.Offset[axis], c.Offset[axis]+c.Shape[axis])
		}
		slices.Sort(edges)
		edges = slices.Clone(slices.Compact(edges))
		g.edges = append(g.edges, edges)
		if cells *= int64(len(edges) - 1); cells > most {
			return fmt.Errorf("the %d chunks of shape %v are divided too irregularly to be read", len(a.chunks), a.shape)
		}
	}
	g.owner = make([]int32, cells)
	for i := range g.owner {
		g.owner[i] = -1
	}
	for i := range a.chunks {
		if other, ok := g.claim(int32(i), a.chunks[i].Offset, a.chunks[i].Shape); !ok {
			return a.overlap(i, int(other))
		}
	}
	if cell := slices.Index(g.owner, -1); cell >= 0 {
		return fmt.Errorf("%w: no chunk has the element at %v of the array's shape %v", ErrTiling, g.corner(cell), a.shape)
	}
	return nil
}

func (a *Array) overlap(i, j int) error {
	c, d := &a.chunks[i], &a.chunks[j]
	return fmt.Errorf("%w: chunk %s of shape %v at %v and chunk %s of shape %v at %v overlap", ErrTiling, d.Name, d.Shape, d.Offset, c.Name, c.Shape, c.Offset)
}

// claim gives the cells of a rectangle to a chunk, unless one has an owner.
func (g *grid) claim(chunk int32, offset, shape []int64) (other int32, ok bool) {
	g.each(offset, shape, func(cell int, _, _ []int64) bool {
		other = g.owner[cell]
		g.owner[cell] = chunk
		return other < 0
	})
	return other, other < 0
}

// each visits the cells that a rectangle touches, with the part of each cell that
// lies in the rectangle, until visit returns false. The parts are only valid
// during the visit.
func (g *grid) each(offset, shape []int64, visit func(cell int, from, extent []int64) bool) {
	from, extent := make([]int64, len(shape)), make([]int64, len(shape))
	var walk func(axis, cell int) bool
	walk = func(axis, cell int) bool {
		if axis == len(shape) {
			return visit(cell, from, extent)
		}
		edges, end := g.edges[axis], offset[axis]+shape[axis]
		i := sort.Search(len(edges), func(i int) bool { return edges[i] > offset[axis] }) - 1
		for ; edges[i] < end; i++ {
			from[axis] = max(edges[i], offset[axis])
			extent[axis] = min(edges[i+1], end) - from[axis]
			if !walk(axis+1, cell*(len(edges)-1)+i) {
				return false
			}
		}
		return true
	}
	walk(0, 0)
}

// corner gives the first element of a cell.
func (g *grid) corner(cell int) []int64 {
	at := make([]int64, len(g.edges))
	for axis := len(g.edges) - 1; axis >= 0; axis-- {
		n := len(g.edges[axis]) - 1
		at[axis] = g.edges[axis][cell%n]
		cell /= n
	}
	return at
}
