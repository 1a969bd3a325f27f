package tokenizer

import (
	"fmt"
	"unicode/utf8"
)

// regexpCompiler writes a parsed expression as instructions.
type regexpCompiler struct {
	code    []regexpInst
	classes map[string]*runeClass
	marks   int
}

func (c *regexpCompiler) emit(i regexpInst) int {
	if i.next == 0 {
		i.next = len(c.code) + 1
	}
	c.code = append(c.code, i)
	return len(c.code) - 1
}

func (c *regexpCompiler) class(s runeSet) *runeClass {
	key := fmt.Sprint(s)
	if c.classes[key] == nil {
		c.classes[key] = newRuneClass(s)
	}
	return c.classes[key]
}

func (c *regexpCompiler) compile(n *regexpNode) error {
	if len(c.code) > maxRegexpCode || len(c.classes) > maxRegexpClasses {
		return fmt.Errorf("the pattern is too large")
	}
	switch n.op {
	case opEmpty:
	case opSet:
		c.emit(regexpInst{op: instChar, class: c.class(n.set)})
	case opConcat:
		for _, s := range n.subs {
			if err := c.compile(s); err != nil {
				return err
			}
		}
	case opAlternate:
		return c.alternate(n.subs)
	case opRepeat:
		return c.repeat(n)
	case opAtomic:
		return c.inner(regexpInst{op: instAtomic}, n.subs[0], instMatch)
	case opLook:
		return c.look(n)
	default:
		c.emit(regexpInst{op: instAssert, other: int(n.op), negate: n.negate, class: c.wordClass(n)})
	}
	return nil
}

func (c *regexpCompiler) wordClass(n *regexpNode) *runeClass {
	if n.op != opWordEdge {
		return nil
	}
	return c.class(oniguruma(onigurumaWord))
}

// inner compiles a node as a program of its own behind an instruction that runs it.
func (c *regexpCompiler) inner(i regexpInst, n *regexpNode, end instOp) error {
	at := c.emit(i)
	c.code[at].other = at + 1
	if err := c.compile(n); err != nil {
		return err
	}
	c.emit(regexpInst{op: end})
	c.code[at].next = len(c.code)
	return nil
}

func (c *regexpCompiler) look(n *regexpNode) error {
	if !n.behind {
		return c.inner(regexpInst{op: instLook, negate: n.negate}, n.subs[0], instMatch)
	}
	low, high := n.subs[0].width()
	return c.inner(regexpInst{op: instBehind, negate: n.negate, min: low, max: high}, n.subs[0], instEnd)
}

func (c *regexpCompiler) alternate(ways []*regexpNode) error {
	var ends []int
	for i, w := range ways {
		fork := -1
		if i < len(ways)-1 {
			fork = c.emit(regexpInst{op: instFork})
		}
		if err := c.compile(w); err != nil {
			return err
		}
		if fork >= 0 {
			ends = append(ends, c.emit(regexpInst{op: instJump}))
			c.code[fork].other = len(c.code)
		}
	}
	for _, e := range ends {
		c.code[e].next = len(c.code)
	}
	return nil
}

func (c *regexpCompiler) repeat(n *regexpNode) error {
	body := n.subs[0]
	if n.possessive {
		loop := *n
		loop.possessive = false
		if body.op == opSet {
			c.emit(regexpInst{op: instOnce, class: c.class(body.set), min: n.min, max: n.max})
			return nil
		}
		return c.inner(regexpInst{op: instAtomic}, &loop, instMatch)
	}
	if body.op == opSet && !n.lazy {
		c.emit(regexpInst{op: instRepeat, class: c.class(body.set), min: n.min, max: n.max})
		return nil
	}
	for range n.min {
		if err := c.compile(body); err != nil {
			return err
		}
	}
	if n.max < 0 {
		return c.loop(n)
	}
	var forks []int
	for range n.max - n.min {
		forks = append(forks, c.emit(regexpInst{op: instFork}))
		if err := c.compile(body); err != nil {
			return err
		}
	}
	for _, f := range forks {
		c.setFork(f, f+1, len(c.code), n.lazy)
	}
	return nil
}

func (c *regexpCompiler) setFork(at, body, behind int, lazy bool) {
	c.code[at].next, c.code[at].other = body, behind
	if lazy {
		c.code[at].next, c.code[at].other = behind, body
	}
}

// loop repeats without a limit; a repetition that did not move ends it.
func (c *regexpCompiler) loop(n *regexpNode) error {
	fork := c.emit(regexpInst{op: instFork})
	low, _ := n.subs[0].width()
	mark := c.marks
	if low == 0 {
		c.marks++
		c.emit(regexpInst{op: instMark, other: mark})
	}
	if err := c.compile(n.subs[0]); err != nil {
		return err
	}
	if low == 0 {
		c.emit(regexpInst{op: instMoved, other: mark, max: len(c.code) + 2})
	}
	c.emit(regexpInst{op: instJump, next: fork})
	if fork == 0 {
		c.code[len(c.code)-1].next = 0
	}
	c.setFork(fork, fork+1, len(c.code), n.lazy)
	return nil
}

// noLimit is the width of what repeats without a limit.
const noLimit = -1

// width returns how many characters a node matches, at least and at most.
func (n *regexpNode) width() (low, high int) {
	if !n.measured {
		n.low, n.high = n.measure()
		n.measured = true
	}
	return n.low, n.high
}

func (n *regexpNode) measure() (low, high int) {
	switch n.op {
	case opSet:
		return 1, 1
	case opConcat, opAtomic:
		for _, s := range n.subs {
			l, h := s.width()
			low += l
			if high = addWidth(high, h); h == noLimit {
				high = noLimit
			}
		}
		return low, high
	case opAlternate:
		low, high = n.subs[0].width()
		for _, s := range n.subs[1:] {
			l, h := s.width()
			low = min(low, l)
			if h == noLimit || high == noLimit {
				high = noLimit
			} else {
				high = max(high, h)
			}
		}
		return low, high
	case opRepeat:
		l, h := n.subs[0].width()
		if n.max < 0 && h != 0 || h == noLimit {
			return l * n.min, noLimit
		}
		return l * n.min, h * max(n.max, 0)
	}
	return 0, 0
}

func addWidth(a, b int) int {
	if a == noLimit || b == noLimit {
		return noLimit
	}
	return a + b
}

// before returns the place so many characters before at; -1 if there are not so many.
func before(text string, at, n int) int {
	for ; n > 0; n-- {
		if at == 0 {
			return -1
		}
		_, w := utf8.DecodeLastRuneInString(text[:at])
		at -= w
	}
	return at
}
