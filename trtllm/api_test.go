package trtllm

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exported parses the package's own files, without tests.
func exported(t *testing.T) *doc.Package {
	t.Helper()
	list, err := os.ReadDir(".")
	require.NoError(t, err)
	var files []*ast.File
	set := token.NewFileSet()
	for _, entry := range list {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	p, err := doc.NewFromFiles(set, files, "github.com/trtgo/trtgo/trtllm")
	require.NoError(t, err)
	return p
}

// Every type is the package's own, with its fields to be seen, and all that is exported
// has a comment.
func TestTypesAreOwnAndDocumented(t *testing.T) {
	p := exported(t)
	require.Greater(t, len(p.Types), 20)
	for _, typ := range p.Types {
		require.NotEmpty(t, typ.Doc, typ.Name)
		for _, spec := range typ.Decl.Specs {
			require.False(t, spec.(*ast.TypeSpec).Assign.IsValid(), "%s is an alias, whose fields nobody is shown", typ.Name)
		}
		for _, f := range append(typ.Methods, typ.Funcs...) {
			require.NotEmpty(t, f.Doc, "%s.%s", typ.Name, f.Name)
		}
		for _, values := range append(typ.Consts, typ.Vars...) {
			require.NotEmpty(t, values.Doc, "%s of %s", values.Names, typ.Name)
		}
	}
	for _, f := range p.Funcs {
		require.NotEmpty(t, f.Doc, f.Name)
	}
	for _, section := range []string{"Requests", "Sampling", "Streaming", "Errors", "Memory", "GPUs", "Statistics"} {
		require.Contains(t, p.Doc, "\n# "+section+"\n")
	}
}

// Literals of what grows must name their fields.
func TestRoomForMoreFields(t *testing.T) {
	for _, v := range []any{Request{}, Sampling{}} {
		typ := reflect.TypeOf(v)
		blank := false
		for i := range typ.NumField() {
			blank = blank || typ.Field(i).Name == "_"
		}
		require.True(t, blank, typ.Name())
	}
}

// What is exported speaks of no other package of the module that a caller cannot import.
func TestNoInternalTypesInTheAPI(t *testing.T) {
	internal := func(typ reflect.Type) bool { return strings.Contains(typ.PkgPath(), "/internal/") }
	seen := map[reflect.Type]bool{}
	var visit func(typ reflect.Type, path string)
	visit = func(typ reflect.Type, path string) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		require.False(t, internal(typ), path)
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map, reflect.Chan:
			visit(typ.Elem(), path+"/"+typ.String())
		case reflect.Struct:
			for i := range typ.NumField() {
				if f := typ.Field(i); f.IsExported() {
					visit(f.Type, path+"."+f.Name)
				}
			}
		case reflect.Func:
			for i := range typ.NumIn() {
				visit(typ.In(i), path+"()")
			}
			for i := range typ.NumOut() {
				visit(typ.Out(i), path+"()")
			}
		}
		for i := range typ.NumMethod() {
			visit(typ.Method(i).Type, path+"."+typ.Method(i).Name)
		}
	}
	for _, v := range []any{
		&Engine{}, Request{}, Sampling{}, Response{}, Chunk{}, Result{}, Stats{}, IterationStats{}, RequestStatsPerIteration{},
		Config{}, &Error{}, ProcessorRow{}, RequestSummary{}, LogitsProcessor(nil), CapacityPolicy(0),
	} {
		visit(reflect.TypeOf(v), reflect.TypeOf(v).String())
	}
	require.True(t, seen[reflect.TypeFor[KVCacheStats]()])
}
