package evaluator

import "fmt"

// Memory stands for the device's: a plugin gets addresses of it. It keeps numbers, not
// bytes, so that a cache of Half can be as exact as one of float32; addresses count
// bytes all the same.
type Memory struct {
	pools []pool
	next  int64
}

type pool struct {
	address      int64
	elementBytes int64
	values       []float32
}

// Allocate returns the address of n numbers of elementBytes each.
func (m *Memory) Allocate(n int, elementBytes int64) int64 {
	if m.next == 0 {
		m.next = 1 << 40
	}
	p := pool{m.next, elementBytes, make([]float32, n)}
	m.pools = append(m.pools, p)
	m.next += (int64(n)*elementBytes + 1<<20) &^ 255 // apart, so that an overrun hits nothing
	return p.address
}

// At returns n numbers from an address.
func (m *Memory) At(address int64, n int, elementBytes int64) ([]float32, error) {
	if m == nil {
		return nil, fmt.Errorf("there is no memory to read at address %#x", address)
	}
	for _, p := range m.pools {
		first := (address - p.address) / elementBytes
		if address < p.address || first >= int64(len(p.values)) {
			continue
		}
		if p.elementBytes != elementBytes || (address-p.address)%elementBytes != 0 || first+int64(n) > int64(len(p.values)) {
			return nil, fmt.Errorf("%d numbers of %d bytes at address %#x leave the pool of %d numbers of %d bytes", n, elementBytes, address, len(p.values), p.elementBytes)
		}
		return p.values[first : first+int64(n)], nil
	}
	return nil, fmt.Errorf("nothing is at address %#x", address)
}
