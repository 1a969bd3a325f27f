package mixedgemm

import (
	"errors"
	"fmt"
)

// ErrUnsupported is wrapped by errors about GPUs and sizes that the kernels do not have.
var ErrUnsupported = errors.New("no mixed matrix multiplication")

// Weight is the width of a weight in bits.
type Weight int

// The widths there are.
const (
	Int4 Weight = 4
	Int8 Weight = 8
)

// Input is the width of a number of the other matrix in bits.
type Input int

// The widths there are: both half formats, and FP8, which meets 4-bit weights only.
const (
	Float16 Input = 16
	Float8  Input = 8
)

// Multiple is what both sides of a matrix have to be multiples of, for weights that meet
// Float16. (For Float8 it is twice as much.)
const Multiple = 64

// Layout is an order of the numbers of a matrix of out rows of in numbers each:
//
//   - The numbers of each row are shuffled in blocks of 128/bits (rowOrder), so that a
//     thread of the tensor cores finds the inputs it multiplies beside each other.
//   - Within each 32 bits, they are shuffled once more (wordOrder), so that unpacking
//     takes few instructions.
//   - Half of their range is added, which makes them unsigned.
//   - Rows are divided into tiles that fill half a cache line of inputs; the tiles
//     of as many neighbouring rows as fill one take turns. GPUs of compute
//     capability 9.0 do without this.
type Layout struct {
	bits, tile int
	interleave int   // rows that take turns
	order      []int // place in a block that a number comes from
}

// rowOrder is by widths of input and weight: place i takes the number of place rowOrder[i].
var rowOrder = map[[2]int][]int{
	{16, 8}: {0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15},
	{16, 4}: {0, 1, 8, 9, 16, 17, 24, 25, 2, 3, 10, 11, 18, 19, 26, 27, 4, 5, 12, 13, 20, 21, 28, 29, 6, 7, 14, 15, 22, 23, 30, 31},
	{8, 4}:  {0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31},
}

// wordOrder is by width of the weight.
var wordOrder = map[int][]int{8: {0, 2, 1, 3}, 4: {0, 2, 4, 6, 1, 3, 5, 7}}

// For returns the layout of a GPU by its compute capability, e.g. 89 for 8.9. That of
// 8.0 serves from 7.5 on and again from 12.0 on; between 10.0 and 11.9 TensorRT-LLM has no such kernels.
func For(weight Weight, input Input, capability int) (*Layout, error) {
	rows, ok := rowOrder[[2]int{int(input), int(weight)}]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w of %d-bit weights and %d-bit inputs", ErrUnsupported, weight, input)
	case capability < 75, capability >= 100 && capability < 120:
		return nil, fmt.Errorf("%w of %d-bit weights on compute capability %d.%d: 7.5 to 9.0 and 12.0 on have one",
			ErrUnsupported, weight, capability/10, capability%10)
	}
	words := wordOrder[int(weight)]
	l := &Layout{bits: int(weight), tile: 1024 / int(input), interleave: int(input) / int(weight), order: make([]int, len(rows))}
	if capability == 90 {
		l.tile, l.interleave = len(rows), 1
	}
	for i := range rows {
		l.order[i] = rows[i/len(words)*len(words)+words[i%len(words)]]
	}
	return l, nil
}

// Check returns an error for a matrix that is not made of whole tiles.
func (l *Layout) Check(out, in int) error {
	if in < 1 || out < 1 || in%l.tile != 0 || out%l.interleave != 0 {
		return fmt.Errorf("%w: a matrix of %d rows of %d numbers: rows have to be a multiple of %d, numbers of %d", ErrUnsupported, out, in, l.interleave, l.tile)
	}
	return nil
}

// Bytes is the size of a matrix of out rows of in numbers.
func (l *Layout) Bytes(out, in int) int { return out * in * l.bits / 8 }

// tileAt gives the byte at which tile t of a row begins.
func (l *Layout) tileAt(row, in, t int) int {
	first := row / l.interleave * l.interleave * in // of the group of rows
	return (first + (t*l.interleave+row%l.interleave)*l.tile) * l.bits / 8
}

// Put stores a row of numbers, -128 … 127 or -8 … 7, in a matrix of rows of that length
// that [Layout.Check] took. Rows may be put from several goroutines.
func (l *Layout) Put(dst []byte, row int, numbers []int8) {
	offset := byte(1) << (l.bits - 1)
	for t := 0; t*l.tile < len(numbers); t++ {
		at := dst[l.tileAt(row, len(numbers), t):][:l.tile*l.bits/8]
		tile := numbers[t*l.tile:][:l.tile]
		for block := 0; block < len(tile); block += len(l.order) {
			from := tile[block:][:len(l.order)]
			if l.bits == 8 {
				for i, place := range l.order {
					at[block+i] = byte(from[place]) + offset
				}
				continue
			}
			for i := 0; i < len(l.order); i += 2 {
				low, high := byte(from[l.order[i]])+offset, byte(from[l.order[i+1]])+offset
				at[(block+i)/2] = low&15 | high<<4
			}
		}
	}
}

// Get is the inverse of [Layout.Put]: it fills numbers with a row of src.
func (l *Layout) Get(numbers []int8, src []byte, row int) {
	for t := 0; t*l.tile < len(numbers); t++ {
		at := src[l.tileAt(row, len(numbers), t):][:l.tile*l.bits/8]
		tile := numbers[t*l.tile:][:l.tile]
		for block := 0; block < len(tile); block += len(l.order) {
			to := tile[block:][:len(l.order)]
			for i, place := range l.order {
				if l.bits == 8 {
					to[place] = int8(at[block+i] - 128)
					continue
				}
				to[place] = int8(at[(block+i)/2]>>(4*(i%2))&15) - 8
			}
		}
	}
}
