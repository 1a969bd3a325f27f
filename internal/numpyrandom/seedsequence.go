package numpyrandom

// Constants of numpy's SeedSequence (bit_generator.pyx), after M. E. O'Neill's seed_seq.
const (
	seedPoolSize = 4
	seedInitA    = 0x43b0d7e5
	seedMultA    = 0x931e8875
	seedInitB    = 0x8b51f9dd
	seedMultB    = 0x58f38ded
	seedMixL     = 0xca01f9dd
	seedMixR     = 0x4973f715
	seedXShift   = 16
)

// seedSequence spreads a small seed over a pool of four words.
type seedSequence struct {
	pool [seedPoolSize]uint32
}

// newSeedSequence mixes seed into a fresh pool. numpy splits the integer into 32-bit words, lowest first, without leading
// zeros; missing words count as zero, so two words at most differ from a pool of zeros.
func newSeedSequence(seed uint64) seedSequence {
	entropy := [seedPoolSize]uint32{uint32(seed), uint32(seed >> 32)}
	var s seedSequence
	hash := uint32(seedInitA)
	hashmix := func(v uint32) uint32 {
		v ^= hash
		hash *= seedMultA
		v *= hash
		return v ^ v>>seedXShift
	}
	for i, word := range entropy {
		s.pool[i] = hashmix(word)
	}
	// Every word is mixed into every other, so that late bits reach early words.
	for src := range s.pool {
		for dst := range s.pool {
			if src != dst {
				s.pool[dst] = mixWords(s.pool[dst], hashmix(s.pool[src]))
			}
		}
	}
	return s
}

func mixWords(x, y uint32) uint32 {
	r := seedMixL*x - seedMixR*y
	return r ^ r>>seedXShift
}

// state64 returns n words of 64 bits, SeedSequence.generate_state(n, uint64).
func (s seedSequence) state64(n int) []uint64 {
	hash := uint32(seedInitB)
	next := 0
	word := func() uint64 {
		v := s.pool[next%seedPoolSize]
		next++
		v ^= hash
		hash *= seedMultB
		v *= hash
		return uint64(v ^ v>>seedXShift)
	}
	out := make([]uint64, n)
	for i := range out {
		low := word()
		out[i] = low | word()<<32
	}
	return out
}
