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

// Export writes every asset into directory as it is served, and beside it the
// compressed form with .gz at the end of the name. Files that are there stay.
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

// Bridge also serves the assets that other builds have exported into
// directory. During a deploy the pages of one version ask the other for them.
func (a *Assets) Bridge(directory string) error {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return fmt.Errorf("open the assets of other builds: %w", err)
	}
	a.others = root
	return nil
}

// Private

// writeOnce makes a file that is whole from the moment it is there: another
// process may serve it in that moment, to browsers that keep it for ever.
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

// exported is the name of an asset of any build.
var exported = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*-([0-9a-f]{16})\.[a-z0-9]+$`)

// other is an asset of another build.
func (a *Assets) other(address string) (file, bool) {
	name := strings.TrimPrefix(address, Prefix)
	found := exported.FindStringSubmatch(name)
	if a.others == nil || found == nil || typeOf(name) == "" {
		return file{}, false
	}
	content, err := a.readOther(name)
	if err != nil {
		return file{}, false
	}
	gzipped, err := a.readOther(name + ".gz")
	if err != nil {
		gzipped = nil
	}
	return file{content: content, gzipped: gzipped, hash: found[1], contentType: typeOf(name)}, true
}

// readOther keeps within the directory whatever the name says.
func (a *Assets) readOther(name string) ([]byte, error) {
	opened, err := a.others.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(opened)
	return content, errors.Join(err, opened.Close())
}
