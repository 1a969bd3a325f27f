package trtllm_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The README shows the body of Example's run, without its last return.
func TestREADMEShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(readme), "<!-- example: trtllm/example_test.go Example -->\n```go\n")
	require.True(t, found, "the marker is gone from README.md")
	shown, _, found := strings.Cut(rest, "```\n")
	require.True(t, found)

	const name = "example_test.go"
	source, err := os.ReadFile(name)
	require.NoError(t, err)
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, 0)
	require.NoError(t, err)
	var body *ast.BlockStmt
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "Example" {
			ast.Inspect(f, func(n ast.Node) bool {
				if literal, ok := n.(*ast.FuncLit); ok && body == nil {
					body = literal.Body
				}
				return body == nil
			})
		}
	}
	require.NotNil(t, body)
	text := string(source[files.Position(body.Lbrace).Offset+2 : files.Position(body.List[len(body.List)-1].Pos()).Offset])
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimPrefix(line, "\t\t"))
	}
	require.Equal(t, strings.TrimSpace(strings.Join(lines, "")), strings.TrimSpace(shown))
}
