package devstack

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFileWatcher_WaitsForAFileAndForEachThatReplacesIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app")
	replace := func(content string) {
		require.NoError(t, os.WriteFile(path+".next", []byte(content), 0o600))
		require.NoError(t, os.Rename(path+".next", path))
	}
	watcher := WatchFile(path)
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 3*filePoll)
		t.Cleanup(cancel)
		return ctx
	}
	require.False(t, watcher.Next(soon()))

	replace("one")
	require.True(t, watcher.Next(t.Context()))
	require.False(t, watcher.Next(soon()))

	time.AfterFunc(filePoll, func() { replace("a second one") })
	require.True(t, watcher.Next(t.Context()))
}
