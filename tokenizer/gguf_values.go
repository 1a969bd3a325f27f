package tokenizer

// integer accepts every width, and floats that are whole.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int8:
		return int64(n), true
	case int16:
		return int64(n), true
	case int32:
		return int64(n), true
	case int64:
		return n, true
	case uint:
		return int64(n), n <= 1<<62
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case uint64:
		return int64(n), n <= 1<<62
	case float32:
		return int64(n), n == float32(int64(n))
	case float64:
		return int64(n), n == float64(int64(n))
	}
	return 0, false
}

// integers accepts a slice of any of those.
func integers(v any) ([]int64, bool) {
	switch list := v.(type) {
	case []int:
		return widen(list)
	case []int8:
		return widen(list)
	case []int16:
		return widen(list)
	case []int32:
		return widen(list)
	case []int64:
		return list, true
	case []uint8:
		return widen(list)
	case []uint16:
		return widen(list)
	case []uint32:
		return widen(list)
	case []uint64:
		return widen(list)
	case []any:
		out := make([]int64, len(list))
		for i, e := range list {
			n, ok := integer(e)
			if !ok {
				return nil, false
			}
			out[i] = n
		}
		return out, true
	}
	return nil, false
}

func widen[T int | int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](list []T) ([]int64, bool) {
	out := make([]int64, len(list))
	for i, n := range list {
		out[i] = int64(n)
	}
	return out, true
}

// floats accepts a slice of numbers of any kind.
func floats(v any) ([]float32, bool) {
	switch list := v.(type) {
	case []float32:
		return list, true
	case []float64:
		out := make([]float32, len(list))
		for i, x := range list {
			out[i] = float32(x)
		}
		return out, true
	case []any:
		out := make([]float32, len(list))
		for i, e := range list {
			switch x := e.(type) {
			case float32:
				out[i] = x
			case float64:
				out[i] = float32(x)
			default:
				n, ok := integer(e)
				if !ok {
					return nil, false
				}
				out[i] = float32(n)
			}
		}
		return out, true
	}
	whole, ok := integers(v)
	out := make([]float32, len(whole))
	for i, n := range whole {
		out[i] = float32(n)
	}
	return out, ok
}

// octets accepts a list of bytes of any width.
func octets(v any) (string, bool) {
	if s, ok := v.(string); ok {
		return s, true
	}
	list, ok := integers(v)
	out := make([]byte, len(list))
	for i, n := range list {
		if n < -128 || n > 255 {
			return "", false
		}
		out[i] = byte(n)
	}
	return string(out), ok
}
