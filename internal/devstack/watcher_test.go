package devstack

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWatcher_NextReportsEveryChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "old.go")
	write(t, dir, "gone.sql")
	watcher, err := Watch(dir)
	require.NoError(t, err)

	write(t, dir, "old.go", "more")
	write(t, dir, "deep/new.templ")
	require.NoError(t, os.Remove(filepath.Join(dir, "gone.sql")))

	require.Equal(t, []string{"deep/new.templ", "gone.sql", "old.go"}, next(t, watcher, dir))
	write(t, dir, "go.mod")
	require.Equal(t, []string{"go.mod"}, next(t, watcher, dir))
}

func TestWatcher_NextIgnoresOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	watcher, err := Watch(dir)
	require.NoError(t, err)

	for _, name := range []string{
		"page_templ.go", "page_test.go", "notes.md", ".#page.go", "tmp/dev/x.go", "dist/x.css", ".git/x.go", "node_modules/x.js",
	} {
		write(t, dir, name)
	}
	write(t, dir, "page.templ")

	require.Equal(t, []string{"page.templ"}, next(t, watcher, dir))
}

func TestWatcher_NextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	watcher, err := Watch(t.TempDir())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err = watcher.Next(ctx)

	require.ErrorIs(t, err, context.Canceled)
}

// Private

func write(t *testing.T, dir, name string, text ...string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(name+filepath.Join(text...)), 0o644))
}

// next returns the paths of Next, relative to dir.
func next(t *testing.T, watcher *Watcher, dir string) []string {
	t.Helper()
	changed, err := watcher.Next(t.Context())
	require.NoError(t, err)
	for i, path := range changed {
		changed[i], err = filepath.Rel(dir, path)
		require.NoError(t, err)
	}
	return changed
}
