package tokenizer

// trie is a set of non-empty strings for longest-prefix search, in 16 bytes a node: children are a
// linked list, except the root's, which are a table.
type trie struct {
	root  [256]int32 // index of the node plus one, 0 for none
	nodes []trieNode
}

type trieNode struct {
	child, sibling int32 // as in root
	value          int32 // -1: no string ends here
	label          byte
}

// add inserts s; the first value given for a string stays.
func (t *trie) add(s string, value int32) {
	link := &t.root[s[0]]
	for i := 0; ; i++ {
		for *link != 0 && t.nodes[*link-1].label != s[i] {
			link = &t.nodes[*link-1].sibling
		}
		if *link == 0 {
			*link = int32(len(t.nodes)) + 1
			t.nodes = append(t.nodes, trieNode{value: -1, label: s[i]})
			// append may have moved the nodes; link is not used again before it is set anew.
			link = &t.nodes[len(t.nodes)-1].child
			if i == len(s)-1 {
				t.nodes[len(t.nodes)-1].value = value
				return
			}
			continue
		}
		node := &t.nodes[*link-1]
		if i == len(s)-1 {
			if node.value < 0 {
				node.value = value
			}
			return
		}
		link = &node.child
	}
}

// longest returns the length of the longest string that s begins with, and its value; 0 for none.
func (t *trie) longest(s string) (n int, value int32) {
	if len(s) == 0 {
		return 0, 0
	}
	at := t.root[s[0]]
	for i := 0; at != 0; {
		node := &t.nodes[at-1]
		if node.label != s[i] {
			at = node.sibling
			continue
		}
		i++
		if node.value >= 0 {
			n, value = i, node.value
		}
		if i == len(s) {
			break
		}
		at = node.child
	}
	return n, value
}
