package devstack

import (
	"context"
	"os"
	"time"
)

// FileWatcher finds out when a file was replaced, by polling its time and size.
type FileWatcher struct {
	path string
	seen stamp // zero while there is no file
}

// WatchFile returns a watcher of the file at path, which need not exist yet.
func WatchFile(path string) *FileWatcher { return &FileWatcher{path: path} }

// Next waits until there is a file that the last Next has not seen. It returns false
// when ctx ends first.
func (w *FileWatcher) Next(ctx context.Context) bool {
	poll := time.NewTicker(filePoll)
	defer poll.Stop()
	for {
		if info, err := os.Stat(w.path); err == nil {
			now := stamp{modified: info.ModTime().UnixNano(), size: info.Size()}
			if now != w.seen {
				w.seen = now
				return true
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return false
		}
	}
}

// Private

// filePoll is short, because a developer waits for the page.
const filePoll = 100 * time.Millisecond
