package assets

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Export writes every asset to directory under its hashed name, and the compressed
// form beside it with the suffix .gz. It does not change existing files.
func (a *Assets) Export(directory string) error {
	for address, asset := range a.files {
		path := filepath.Join(directory, filepath.FromSlash(strings.TrimPrefix(address, Prefix)))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("export assets: %w", err)
		}
		if asset.gzipped != nil {
			if err := writeOnce(path+".gz", asset.gzipped); err != nil {
				return fmt.Errorf("export assets: %w", err)
			}
		}
		if err := writeOnce(path, asset.content); err != nil {
			return fmt.Errorf("export assets: %w", err)
		}
	}
	return nil
}

// Bridge makes ServeHTTP also serve the assets that other builds have exported to
// directory. During a deploy, a page of one build may request its assets from a
// process of the other. Call it before ServeHTTP.
func (a *Assets) Bridge(directory string) error {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return fmt.Errorf("open the assets of other builds: %w", err)
	}
	a.otherBuilds = root
	return nil
}

// Private

// writeOnce writes a file atomically, unless it exists. Another process may serve it
// at any moment, to browsers that cache it without limit.
func writeOnce(path string, content []byte) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".asset-*")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return os.Rename(file.Name(), path)
}

// exported matches the hashed name of an asset.
var exported = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*-([0-9a-f]{16})\.[a-z0-9]+$`)

// readOtherBuild returns an asset of another build.
func (a *Assets) readOtherBuild(address string) (file, bool) {
	name := strings.TrimPrefix(address, Prefix)
	found := exported.FindStringSubmatch(name)
	if a.otherBuilds == nil || found == nil || typeOf(name) == "" {
		return file{}, false
	}
	content, err := a.readFile(name)
	if err != nil {
		return file{}, false
	}
	gzipped, err := a.readFile(name + ".gz")
	if err != nil {
		gzipped = nil
	}
	return file{content: content, gzipped: gzipped, hash: found[1], contentType: typeOf(name)}, true
}

// readFile reads an exported file. os.Root prevents access outside the directory.
func (a *Assets) readFile(name string) ([]byte, error) {
	opened, err := a.otherBuilds.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(opened)
	return content, errors.Join(err, opened.Close())
}
