package jinja

import (
	"math"
	"math/big"
	"strings"
)

// isNumber holds for int, float and bool.
func isNumber(v any) bool { return isWhole(v) || isFloat(v) }

func isFloat(v any) bool { _, ok := v.(float64); return ok }

func isWhole(v any) bool {
	switch v.(type) {
	case bool, int64, *big.Int:
		return true
	}
	return false
}

// whole returns a bool or int64 as an int64.
func whole(v any) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case bool:
		if v {
			return 1
		}
		return 0
	}
	fail("the number %s is too large here", str(v))
	return 0
}

func bigInt(v any) *big.Int {
	if b, ok := v.(*big.Int); ok {
		return b
	}
	return big.NewInt(whole(v))
}

// shrink gives an int its smallest form.
func shrink(b *big.Int) any {
	if b.IsInt64() {
		return b.Int64()
	}
	if b.BitLen() > 1<<16 {
		fail("a number has more than %d bits", 1<<16)
	}
	return b
}

func float(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f
	}
	return float64(whole(v))
}

// arithmetic is a binary operator on two numbers.
func arithmetic(op string, a, b any) any {
	if op != "/" && isWhole(a) && isWhole(b) {
		return wholeArithmetic(op, bigInt(a), bigInt(b))
	}
	x, y := float(a), float(b)
	if y == 0 && (op == "/" || op == "//" || op == "%") {
		fail("division by zero")
	}
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/":
		return x / y
	case "//":
		return math.Floor(x / y)
	case "%":
		m := math.Mod(x, y)
		if m != 0 && (m < 0) != (y < 0) {
			m += y
		}
		return m
	}
	return math.Pow(x, y)
}

func wholeArithmetic(op string, a, b *big.Int) any {
	out := new(big.Int)
	switch op {
	case "+":
		return shrink(out.Add(a, b))
	case "-":
		return shrink(out.Sub(a, b))
	case "*":
		return shrink(out.Mul(a, b))
	case "//", "%":
		if b.Sign() == 0 {
			fail("division by zero")
		}
		// big.Int has truncated and Euclidean division; Python rounds down.
		rest := new(big.Int)
		out.QuoRem(a, b, rest)
		if rest.Sign() != 0 && (rest.Sign() < 0) != (b.Sign() < 0) {
			out.Sub(out, big.NewInt(1))
			rest.Add(rest, b)
		}
		if op == "%" {
			return shrink(rest)
		}
		return shrink(out)
	}
	if b.Sign() < 0 {
		return math.Pow(float(shrink(a)), float(shrink(b)))
	}
	if b.BitLen() > 16 || b.Int64()*int64(max(a.BitLen(), 1)) > 1<<16 {
		fail("a power has more than %d bits", 1<<16)
	}
	return shrink(out.Exp(a, b, nil))
}

// equal is Python's ==.
func equal(a, b any) bool { return equalAt(a, b, 0) }

func equalAt(a, b any, depth int) bool {
	if depth > maxDepth {
		fail("a value is nested more than %d deep", maxDepth)
	}
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b) == 0
	}
	if x, ok := text(a); ok {
		y, ok := text(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *List:
		b, ok := b.(*List)
		return ok && equalItems(a.Items, b.Items, depth+1)
	case *Tuple:
		b, ok := b.(*Tuple)
		return ok && equalItems(a.Items, b.Items, depth+1)
	case rangeValue:
		return a == b
	case *Dict:
		b, ok := b.(*Dict)
		return ok && equalDicts(a, b, depth+1)
	}
	return same(a, b)
}

func equalDicts(a, b *Dict, depth int) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i, k := range a.keys {
		if other, ok := b.Get(k); !ok || !equalAt(a.values[i], other, depth) {
			return false
		}
	}
	return true
}

func equalItems(a, b []any, depth int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equalAt(a[i], b[i], depth) {
			return false
		}
	}
	return true
}

// same is identity; functions are never the same.
func same(a, b any) bool {
	switch a := a.(type) {
	case Func:
		return false
	case *List, *Tuple, *Dict, *namespace, *view, *iterator, *loopContext, nil, bool, int64, float64, string, markup:
		return a == b
	}
	return false
}

func compareNumbers(a, b any) int {
	if isWhole(a) && isWhole(b) {
		return bigInt(a).Cmp(bigInt(b))
	}
	x, y := float(a), float(b)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	case x == y:
		return 0
	}
	return 2 // not a number: no comparison holds
}

// compare orders two values as Python's < does.
func compare(a, b any) int { return compareAt(a, b, 0) }

func compareAt(a, b any, depth int) int {
	if depth > maxDepth {
		fail("a value is nested more than %d deep", maxDepth)
	}
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b)
	}
	if x, ok := text(a); ok {
		if y, ok := text(b); ok {
			return strings.Compare(x, y)
		}
	}
	switch l := a.(type) {
	case *List:
		if r, ok := b.(*List); ok {
			return compareItems(l.Items, r.Items, depth+1)
		}
	case *Tuple:
		if r, ok := b.(*Tuple); ok {
			return compareItems(l.Items, r.Items, depth+1)
		}
	case undefined:
		l.fail()
	}
	if u, ok := b.(undefined); ok {
		u.fail()
	}
	fail("%s and %s have no order", typeName(a), typeName(b))
	return 0
}

func compareItems(a, b []any, depth int) int {
	for i := range min(len(a), len(b)) {
		if !equalAt(a[i], b[i], depth) {
			return compareAt(a[i], b[i], depth)
		}
	}
	return len(a) - len(b)
}
