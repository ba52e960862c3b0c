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
		if err := os.WriteFile(path, asset.content, 0o644); err != nil {
			return fmt.Errorf("export assets: %w", err)
		}
		if asset.gzipped == nil {
			continue
		}
		if err := os.WriteFile(path+".gz", asset.gzipped, 0o644); err != nil {
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

// exported is the name of an asset of any build.
var exported = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*-([0-9a-f]{16})\.[a-z0-9]+$`)

// other is an asset of another build.
func (a *Assets) other(address string) (file, bool) {
	name := strings.TrimPrefix(address, Prefix)
	found := exported.FindStringSubmatch(name)
	if a.others == nil || found == nil {
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
