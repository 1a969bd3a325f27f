package inflight

// uniform returns the n-th number of the stream of seed, uniform in [0,1) with
// 53 bits. It is SplitMix64 (Steele, Lea, Flood 2014) used as a counter: the
// state after n+1 increments from a start that is the mixed seed, so that
// neighbouring seeds have unrelated streams and any number is found at once.
func uniform(seed uint64, n int) float64 {
	const gamma = 0x9E3779B97F4A7C15
	start := mix64(seed + gamma)
	return float64(mix64(start+(uint64(n)+1)*gamma)>>11) / (1 << 53)
}

// mix64 is SplitMix64's output function.
func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
