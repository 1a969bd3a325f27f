package rouge

// scoreLCS scores the longest common subsequence of two texts.
func scoreLCS(predicted, referred []int32) Score {
	if len(predicted) == 0 || len(referred) == 0 {
		return Score{}
	}
	return newScore(lcsLength(referred, predicted), len(predicted), len(referred))
}

// lcsLength returns the length of the longest common subsequence, keeping one row of the table.
func lcsLength(a, b []int32) int {
	row := make([]int32, len(b)+1)
	for _, x := range a {
		diagonal := int32(0)
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return int(row[len(b)])
}

// scoreUnionLCS is the summary-level ROUGE-L of Lin (2004), section 3.2: for each line of the reference, the union of its longest
// common subsequences with all lines of the prediction. As in ROUGE-1.5.5, no word is a hit more often than it occurs in either
// text.
func scoreUnionLCS(predicted, referred [][]int32) Score {
	predictedCounts, predictedTotal := countTokens(predicted)
	referredCounts, referredTotal := countTokens(referred)
	if predictedTotal == 0 || referredTotal == 0 {
		return Score{}
	}
	hits := 0
	for _, line := range referred {
		for i, in := range unionLCS(line, predicted) {
			token := line[i]
			if in && predictedCounts[token] > 0 && referredCounts[token] > 0 {
				predictedCounts[token]--
				referredCounts[token]--
				hits++
			}
		}
	}
	return newScore(hits, predictedTotal, referredTotal)
}

func countTokens(lines [][]int32) (counts map[int32]int, total int) {
	counts = make(map[int32]int)
	for _, line := range lines {
		total += len(line)
		for _, token := range line {
			counts[token]++
		}
	}
	return counts, total
}

// unionLCS tells for each token of line whether it is part of the longest common subsequence with at least one of the others.
func unionLCS(line []int32, others [][]int32) []bool {
	in := make([]bool, len(line))
	for _, other := range others {
		markLCS(in, line, other)
	}
	return in
}

// markLCS marks the tokens of a that are part of one longest common subsequence with b. Which one, where there are several,
// affects the union: it is the one that rouge-score's walk back through the table finds. That walk needs of the table only
// whether the entry to the left is larger than the one above, one bit a cell.
func markLCS(in []bool, a, b []int32) {
	row := make([]int32, len(b)+1)
	goLeft := newBitTable(len(a), len(b))
	for i, x := range a {
		diagonal := int32(0)
		for j, y := range b {
			above, left := row[j+1], row[j]
			if left > above {
				goLeft.set(i, j)
			}
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, left)
			}
			diagonal = above
		}
	}
	for i, j := len(a)-1, len(b)-1; i >= 0 && j >= 0; {
		switch {
		case a[i] == b[j]:
			in[i] = true
			i--
			j--
		case goLeft.get(i, j):
			j--
		default:
			i--
		}
	}
}

// bitTable is a table of bits, all clear at first.
type bitTable struct {
	columns int
	words   []uint64
}

func newBitTable(rows, columns int) bitTable {
	return bitTable{columns, make([]uint64, (rows*columns+63)/64)}
}

func (t bitTable) set(i, j int) {
	at := i*t.columns + j
	t.words[at/64] |= 1 << (at % 64)
}

func (t bitTable) get(i, j int) bool {
	at := i*t.columns + j
	return t.words[at/64]>>(at%64)&1 != 0
}
