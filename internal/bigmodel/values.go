package bigmodel

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"sync"
)

const width = 2 // bytes of a bfloat16

// period is how many values there are before they repeat. As a prime it is no
// multiple of a row's length, so that rows that change places change the bytes.
const period = 1_048_573

// table has the values twice over, so that a whole period is in one piece wherever
// it begins: either sign, magnitudes from 2^-8 to 1, no NaN and no infinity.
var table = sync.OnceValue(func() []byte {
	random := rand.New(rand.NewPCG(8, 271699968))
	out := make([]byte, 0, 2*period*width)
	for range period {
		bits := random.Uint32()
		exponent := 127 - 8 + uint16(bits>>8)%8
		out = binary.LittleEndian.AppendUint16(out, uint16(bits>>16)&0x8000|exponent<<7|uint16(bits)&0x7f)
	}
	return append(out, out...)
})

// Fill writes the values of a Hugging Face tensor from the given element on, as
// little-endian bfloat16.
func Fill(dst []byte, tensor string, element int64) {
	hash := fnv.New64a()
	hash.Write([]byte(tensor))
	at := int64((hash.Sum64()%period + uint64(element)%period) % period)
	values := table()[at*width:][:period*width]
	for len(dst) > 0 {
		dst = dst[copy(dst, values):]
	}
}
