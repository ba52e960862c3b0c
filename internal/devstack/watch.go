package devstack

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	lookEvery  = 500 * time.Millisecond
	quietAfter = 200 * time.Millisecond
)

// Watcher notices changes of source files by looking at their times and sizes,
// which works on every kind of file system.
type Watcher struct {
	dir  string
	seen map[string]stamp
}

// Watch takes note of the source files below dir as they are now.
func Watch(dir string) (*Watcher, error) {
	seen, err := look(dir)
	if err != nil {
		return nil, err
	}
	return &Watcher{dir: dir, seen: seen}, nil
}

// Next waits until source files have changed since the last Next, and no more
// follow at once. It returns their paths, or an error when ctx ends.
func (w *Watcher) Next(ctx context.Context) ([]string, error) {
	before, pause := w.seen, lookEvery
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		now, err := look(w.dir)
		if err != nil {
			return nil, err
		}
		moved := len(changes(w.seen, now)) > 0
		w.seen, pause = now, lookEvery
		if moved {
			pause = quietAfter
			continue
		}
		if changed := changes(before, now); len(changed) > 0 {
			return changed, nil
		}
	}
}

// Private

// stamp changes when a file does.
type stamp struct {
	modified int64 // nanoseconds
	size     int64
}

// look stamps every source file below dir.
func look(dir string) (map[string]stamp, error) {
	stamps := map[string]stamp{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil && path != dir {
			return nil // deleted while we look, or not ours to read
		}
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path != dir && ignoredDir(entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !isSource(entry.Name()) {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			stamps[path] = stamp{modified: info.ModTime().UnixNano(), size: info.Size()}
		}
		return nil
	})
	return stamps, err
}

func ignoredDir(name string) bool {
	return strings.HasPrefix(name, ".") || name == "tmp" || name == "node_modules"
}

// isSource is true for what the program is built from and set up by. Tests are
// not in it, and code that templ generates changes only after its template did.
func isSource(name string) bool {
	if name == ".env" {
		return true
	}
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_templ.go") {
		return false
	}
	switch filepath.Ext(name) {
	case ".go", ".templ", ".sql", ".css", ".js", ".svg", ".html", ".yml":
		return true
	}
	return name == "go.mod"
}

func changes(before, after map[string]stamp) []string {
	var changed []string
	for path, stamp := range after {
		if before[path] != stamp {
			changed = append(changed, path)
		}
	}
	for path := range before {
		if _, exists := after[path]; !exists {
			changed = append(changed, path)
		}
	}
	slices.Sort(changed)
	return changed
}
