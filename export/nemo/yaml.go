package nemo

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// Bounds of a YAML file. Real ones have some ten kilobytes and a dozen levels;
// aliases are rare, and each counts as all that it stands for.
const (
	maxYAMLBytes = 1 << 20
	maxYAMLDepth = 64
	maxYAMLNodes = 200_000
	maxYAMLMarks = 10_000 // colons and anchors, of each of which the parser's time is a square
)

// parseYAML reads one YAML document into map[string]any, []any, string, bool,
// int64, float64 and nil. Tags are ignored: nothing is constructed.
func parseYAML(text []byte) (map[string]any, error) {
	if len(text) > maxYAMLBytes {
		return nil, fmt.Errorf("%w: YAML of %d bytes, at most %d are read", checkpoint.ErrInvalid, len(text), maxYAMLBytes)
	}
	if err := affordable(string(text)); err != nil {
		return nil, fmt.Errorf("%w: YAML %w", checkpoint.ErrInvalid, err)
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: YAML: %s", checkpoint.ErrInvalid, firstLine(err.Error()))
	}
	body, err := document(file)
	if err != nil {
		return nil, fmt.Errorf("%w: YAML: %w", checkpoint.ErrInvalid, err)
	}
	r := &yamlReader{anchors: map[string]ast.Node{}}
	root := r.value(body, 0)
	if r.err != nil {
		return nil, fmt.Errorf("%w: YAML: %w", checkpoint.ErrInvalid, r.err)
	}
	m, ok := root.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: YAML: the document is no mapping", checkpoint.ErrInvalid)
	}
	return m, nil
}

// document gives the one document of a file. The parser takes a directive, such as
// %YAML 1.1, for one too.
func document(file *ast.File) (body ast.Node, err error) {
	documents := 0
	for _, d := range file.Docs {
		if _, directive := d.Body.(*ast.DirectiveNode); d.Body != nil && !directive {
			body = d.Body
			documents++
		}
	}
	switch documents {
	case 0:
		return nil, errors.New("the document is empty")
	case 1:
		return body, nil
	}
	return nil, fmt.Errorf("%d documents instead of one", documents)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// affordable looks for what would cost the parser more than its result is worth:
// nesting, of which it counts brackets, leading dashes and spaces, and many keys,
// anchors or quotes.
func affordable(text string) error {
	brackets, marks, quotes, n := 0, 0, 0, 0
	for line := range strings.Lines(text) {
		n++
		lead := len(line) - len(strings.TrimLeft(line, " -?:\t"))
		deep := strings.Count(line[:lead], "-")+strings.Count(line[:lead], "?") > maxYAMLDepth || strings.Count(line[:lead], " ") > 16*maxYAMLDepth
		for i := range len(line) {
			switch line[i] {
			case '[', '{':
				brackets++
			case ']', '}':
				brackets = max(brackets-1, 0)
			case ':', '&':
				marks++
			case '\'', '"':
				quotes++
			}
			deep = deep || brackets > maxYAMLDepth
		}
		if deep {
			return fmt.Errorf("line %d is nested more than %d levels deep", n, maxYAMLDepth)
		}
		if marks > maxYAMLMarks || quotes > 4*maxYAMLMarks {
			return fmt.Errorf("has more than %d keys and anchors, or too many quotes, up to line %d", maxYAMLMarks, n)
		}
	}
	return nil
}

// yamlReader turns nodes into values; the first error sticks.
type yamlReader struct {
	anchors map[string]ast.Node
	nodes   int
	err     error
}

func (r *yamlReader) fail(node ast.Node, format string, args ...any) any {
	if r.err == nil {
		line := 0
		if token := node.GetToken(); token != nil && token.Position != nil {
			line = token.Position.Line
		}
		r.err = fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
	}
	return nil
}

func (r *yamlReader) value(node ast.Node, depth int) any {
	r.nodes++
	switch {
	case r.err != nil || node == nil:
		return nil
	case depth > maxYAMLDepth:
		return r.fail(node, "nested more than %d levels deep", maxYAMLDepth)
	case r.nodes > maxYAMLNodes:
		return r.fail(node, "more than %d values, aliases followed", maxYAMLNodes)
	}
	switch n := node.(type) {
	case *ast.MappingNode:
		m := map[string]any{}
		for _, pair := range n.Values {
			r.pair(m, pair, depth)
		}
		return m
	case *ast.MappingValueNode:
		m := map[string]any{}
		r.pair(m, n, depth)
		return m
	case *ast.SequenceNode:
		list := []any{}
		for _, item := range n.Values {
			list = append(list, r.value(item, depth+1))
		}
		return list
	case *ast.AnchorNode:
		r.anchors[n.Name.String()] = n.Value
		return r.value(n.Value, depth+1)
	case *ast.AliasNode:
		target, ok := r.anchors[n.Value.String()]
		if !ok {
			return r.fail(node, "alias *%.50s before its anchor", n.Value.String())
		}
		return r.value(target, depth+1)
	case *ast.TagNode:
		return r.value(n.Value, depth+1)
	}
	return r.scalar(node)
}

func (r *yamlReader) pair(m map[string]any, pair *ast.MappingValueNode, depth int) {
	value := r.value(pair.Value, depth+1)
	if _, merge := pair.Key.(*ast.MergeKeyNode); merge {
		other, _ := value.(map[string]any)
		for key, v := range other {
			if _, there := m[key]; !there {
				m[key] = v
			}
		}
		return
	}
	m[fmt.Sprint(r.scalar(pair.Key))] = value
}

func (r *yamlReader) scalar(node ast.Node) any {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode:
		switch v := n.Value.(type) {
		case int64:
			return v
		case uint64:
			if v < 1<<63 {
				return int64(v)
			}
		}
		return r.fail(node, "%.50v is out of range", n.Value)
	case *ast.FloatNode:
		return n.Value
	case *ast.InfinityNode:
		return n.Value
	case *ast.NanNode:
		return math.NaN()
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return r.value(node, maxYAMLDepth-2)
	}
	return r.fail(node, "%s where a value should be", strings.TrimPrefix(fmt.Sprintf("%T", node), "*ast."))
}

// number reads a number that YAML 1.1 writers spell in a way that YAML 1.2 takes
// for text: 1e-05.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil
	}
	return 0, false
}
