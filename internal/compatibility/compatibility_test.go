package compatibility_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/compatibility"
)

// The document has the tables that the files in testdata and the lowerings give.
func TestDocument(t *testing.T) {
	root, err := compatibility.Root()
	require.NoError(t, err)
	path := filepath.Join(root, "docs/compatibility.md")
	if os.Getenv("TRTGO_UPDATE_COMPATIBILITY") == "1" {
		require.NoError(t, compatibility.Write(path))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	rendered := filepath.Join(t.TempDir(), "compatibility.md")
	require.NoError(t, os.WriteFile(rendered, text, 0o644))
	require.NoError(t, compatibility.Write(rendered))
	want, err := os.ReadFile(rendered)
	require.NoError(t, err)
	require.Equal(t, string(want), string(text), "TRTGO_UPDATE_COMPATIBILITY=1 go test ./internal/compatibility writes it")
	require.NotContains(t, string(text), "refused, though")
}

// Whatever a test showed stands in the tables: a fact for which there is no row or column is
// a mistake in them.
func TestTablesAreComplete(t *testing.T) {
	tables, err := compatibility.Tables()
	require.NoError(t, err)
	for _, m := range compatibility.Methods {
		for _, line := range m.Facts(t) {
			parts := strings.Split(line, "; ")
			letter := "[" + m.Letter + "]"
			if m == compatibility.Longer {
				letter = "[cC]"
			}
			_, table, found := strings.Cut(tables, "### "+parts[0]+"\n")
			require.True(t, found, line)
			table, _, _ = strings.Cut(table, "\n### ")
			if parts[1] == "choice" {
				require.Regexp(t, `\| `+regexp.QuoteMeta(parts[2])+` \|[A-Zc ]*`+letter, table, line)
				continue
			}
			header, _, _ := strings.Cut(strings.TrimSpace(table), "\n")
			column := slices.Index(strings.Split(header, " | "), parts[4])
			if column < 0 {
				column = slices.Index(strings.Split(header, " | "), parts[4]+" |")
			}
			require.Positive(t, column, "no column for %s", line)
			_, row, found := strings.Cut(table, "| "+parts[2]+" | "+parts[3]+" | ")
			require.True(t, found, "no row for %s", line)
			row, _, _ = strings.Cut(row, "\n")
			require.Regexp(t, letter, strings.Split(row, " |")[column-2], line)
		}
	}
}
