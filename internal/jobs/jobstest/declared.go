package jobstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
)

// RequireHandlers fails the test unless each type that declares work in the Go files
// of a directory has a handler. A program cannot find such a type by itself: it
// refuses the work when it is enqueued, which may be long after the release.
func RequireHandlers(t testing.TB, directory string, handlers jobs.Handlers) {
	t.Helper()
	handled := map[string]bool{}
	for _, handler := range handlers {
		handled[handler.Args] = true
	}
	declared := declaredTypes(t, directory)
	require.NotEmpty(t, declared, "no Go file in %s declares work", directory)
	for name, where := range declared {
		require.True(t, handled[name], "%s: %s has no handler: add one to the handlers of the application", where, name)
	}
}

// Private

// declaredTypes returns where each type with a method Declare has it. It leaves out
// tests.
func declaredTypes(t testing.TB, directory string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(directory, "*.go"))
	require.NoError(t, err)
	files, types := token.NewFileSet(), map[string]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			if receiver, declares := declarer(declaration); declares {
				types[file.Name.Name+"."+receiver] = files.Position(declaration.Pos()).String()
			}
		}
	}
	return types
}

// declarer returns the type of which a declaration is the method of jobs.Args.
func declarer(declaration ast.Decl) (name string, is bool) {
	function, is := declaration.(*ast.FuncDecl)
	if !is || function.Recv == nil || function.Name.Name != "Declare" || function.Type.Results == nil {
		return "", false
	}
	receiver, isValue := function.Recv.List[0].Type.(*ast.Ident)
	result, isSelector := function.Type.Results.List[0].Type.(*ast.SelectorExpr)
	if !isValue || !isSelector || result.Sel.Name != "Declaration" {
		return "", false
	}
	return receiver.Name, true
}
