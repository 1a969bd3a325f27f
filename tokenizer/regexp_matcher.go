package tokenizer

import "unicode/utf8"

// regexpMatcher is the state of finding one match.
type regexpMatcher struct {
	code   []regexpInst
	text   string
	search int // where the search began
	budget int // steps back that are left
	stack  []regexpState
	marks  []int
	behind int // where a look behind must end
}

// regexpState is a place to step back to: try pc at at. Where low < at it stands for all places from low to at,
// the greatest first. With mark set it gives a register its old value back instead.
type regexpState struct {
	pc, at, low int
	mark        bool
}

// run matches the program at pc from at, and returns where it ends.
func (m *regexpMatcher) run(pc, at int) (end int, ok bool) {
	base := len(m.stack)
	defer func() { m.stack = m.stack[:base] }()
	for {
		i := &m.code[pc]
		switch i.op {
		case instMatch:
			return at, true
		case instEnd:
			if at == m.behind {
				return at, true
			}
			ok = false
		case instChar:
			var w int
			if w = m.charAt(i.class, at); w > 0 {
				at += w
			}
			ok = w > 0
		case instRepeat, instOnce:
			at, ok = m.repeat(i, at)
		case instFork:
			m.stack = append(m.stack, regexpState{pc: i.other, at: at, low: at})
			ok = true
		case instJump:
			ok = true
		case instAtomic:
			at, ok = m.atomic(i, at)
		case instLook:
			_, ok = m.atomic(i, at)
			ok = ok != i.negate
		case instBehind:
			ok = m.lookBehind(i, at) != i.negate
		case instMark:
			m.mark(i.other, at)
			ok = true
		case instMoved:
			if ok = true; m.marks[i.other] == at {
				pc = i.max
				continue
			}
		case instAssert:
			ok = m.holds(i, at) != i.negate
		}
		if ok {
			pc = i.next
			continue
		}
		if pc, at, ok = m.back(base); !ok {
			return 0, false
		}
	}
}

// charAt returns the width of the character at a place, 0 if it is not in the class.
func (m *regexpMatcher) charAt(c *runeClass, at int) int {
	if at >= len(m.text) {
		return 0
	}
	if b := m.text[at]; b < utf8.RuneSelf {
		if c.has(rune(b)) {
			return 1
		}
		return 0
	}
	r, w := utf8.DecodeRuneInString(m.text[at:])
	if !c.has(r) {
		return 0
	}
	return w
}

// repeat takes as many characters of a class as there are, and notes that fewer would do.
func (m *regexpMatcher) repeat(i *regexpInst, at int) (int, bool) {
	low := at
	n := 0
	for i.max < 0 || n < i.max {
		w := m.charAt(i.class, at)
		if w == 0 {
			break
		}
		at += w
		if n++; n <= i.min {
			low = at
		}
	}
	if n < i.min {
		return at, false
	}
	if i.op == instRepeat && at > low {
		_, w := utf8.DecodeLastRuneInString(m.text[low:at])
		m.stack = append(m.stack, regexpState{pc: i.next, at: at - w, low: low})
	}
	return at, true
}

// atomic runs the program of an instruction to its end, and keeps nothing of how.
func (m *regexpMatcher) atomic(i *regexpInst, at int) (int, bool) {
	if end, ok := m.run(i.other, at); ok {
		return end, true
	}
	return at, false
}

// lookBehind tries the program of an instruction from each place before from which it could end here.
func (m *regexpMatcher) lookBehind(i *regexpInst, at int) bool {
	outer := m.behind
	defer func() { m.behind = outer }()
	m.behind = at
	start := before(m.text, at, i.min)
	for n := i.min; start >= 0 && (i.max == noLimit || n <= i.max) && m.budget >= 0; n++ {
		if _, ok := m.run(i.other, start); ok {
			return true
		}
		m.budget--
		start = before(m.text, start, 1)
	}
	return false
}

// mark sets a register, and notes its old value.
func (m *regexpMatcher) mark(n, at int) {
	for len(m.marks) <= n {
		m.marks = append(m.marks, -1)
	}
	m.stack = append(m.stack, regexpState{pc: n, at: m.marks[n], mark: true})
	m.marks[n] = at
}

// back takes the last place that was noted since base.
func (m *regexpMatcher) back(base int) (pc, at int, ok bool) {
	for len(m.stack) > base {
		m.budget--
		if m.budget < 0 {
			return 0, 0, false
		}
		s := &m.stack[len(m.stack)-1]
		if s.mark {
			m.marks[s.pc] = s.at
			m.stack = m.stack[:len(m.stack)-1]
			continue
		}
		pc, at = s.pc, s.at
		if s.at > s.low {
			_, w := utf8.DecodeLastRuneInString(m.text[s.low:s.at])
			s.at -= w
		} else {
			m.stack = m.stack[:len(m.stack)-1]
		}
		return pc, at, true
	}
	return 0, 0, false
}

// holds reports whether an assertion is true at a place.
func (m *regexpMatcher) holds(i *regexpInst, at int) bool {
	switch regexpOp(i.other) {
	case opBeginText:
		return at == 0
	case opEndText:
		return at == len(m.text)
	case opEndTextLine:
		return at == len(m.text) || at == len(m.text)-1 && m.text[at] == '\n'
	case opBeginLine:
		return at == 0 || m.text[at-1] == '\n' && at < len(m.text)
	case opEndLine:
		return at == len(m.text) && (at == 0 || m.text[at-1] != '\n') || at < len(m.text) && m.text[at] == '\n'
	case opSearchStart:
		return at == m.search
	}
	return m.charAt(i.class, at) > 0 != m.wordBefore(i.class, at)
}

func (m *regexpMatcher) wordBefore(c *runeClass, at int) bool {
	r, w := utf8.DecodeLastRuneInString(m.text[:at])
	return w > 0 && c.has(r)
}
