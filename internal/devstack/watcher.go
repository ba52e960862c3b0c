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
	pollInterval = 500 * time.Millisecond
	settleTime   = 200 * time.Millisecond
)

// Watcher finds changes of source files by polling their times and sizes, which
// works on every file system.
type Watcher struct {
	dir  string
	seen map[string]stamp
}

// Watch returns a watcher of the source files below dir. It compares them with
// their state now.
func Watch(dir string) (*Watcher, error) {
	seen, err := scan(dir)
	if err != nil {
		return nil, err
	}
	return &Watcher{dir: dir, seen: seen}, nil
}

// Next waits until source files have changed since the last Next and then stay
// unchanged for 200 ms. It returns their paths, or an error when ctx ends.
func (w *Watcher) Next(ctx context.Context) ([]string, error) {
	before, pause := w.seen, pollInterval
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		now, err := scan(w.dir)
		if err != nil {
			return nil, err
		}
		moved := len(changes(w.seen, now)) > 0
		w.seen, pause = now, pollInterval
		if moved {
			pause = settleTime
			continue
		}
		if changed := changes(before, now); len(changed) > 0 {
			return changed, nil
		}
	}
}

// Private

// stamp is the state of a file by which a change is found.
type stamp struct {
	modified int64 // nanoseconds
	size     int64
}

// scan returns the stamp of every source file below dir, by path.
func scan(dir string) (map[string]stamp, error) {
	stamps := map[string]stamp{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil && path != dir {
			return nil // deleted meanwhile, or not readable
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

// ignoredDir reports whether a directory holds nothing that a developer writes.
func ignoredDir(name string) bool {
	return strings.HasPrefix(name, ".") || name == "tmp" || name == "dist" || name == "node_modules"
}

// isSource reports whether a file is part of the program's source or configuration.
// Tests are not, and neither is code that templ generates from a template.
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
