package assets

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/edge/coding"
)

// Export writes every asset to directory under its hashed name, and its compressed
// forms beside it with the suffixes .br, .zst and .gz. It does not change existing files.
func (a *Assets) Export(directory string) error {
	for address, asset := range a.files {
		path := filepath.Join(directory, filepath.FromSlash(strings.TrimPrefix(address, Prefix)))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("export assets: %w", err)
		}
		// The identity comes last: who sees it finds its variants too.
		for _, one := range slices.Backward(asset.variants) {
			if err := writeOnce(path+suffixes[one.coding], one.body); err != nil {
				return fmt.Errorf("export assets: %w", err)
			}
		}
	}
	return nil
}

// Bridge makes ServeHTTP also serve the assets that other builds have exported to
// directory. During a deploy, a page of one build may request its assets from a
// process of the other. The assets of this build get the variants that their own build
// has exported there (see Compress). Call it before ServeHTTP.
func (a *Assets) Bridge(directory string) error {
	root, err := os.OpenRoot(directory) // prevents access outside the directory
	if err != nil {
		return fmt.Errorf("open the assets of other builds: %w", err)
	}
	a.otherBuilds = root.FS()
	for address, asset := range a.files {
		asset.readVariants(a.otherBuilds, strings.TrimPrefix(address, Prefix))
		a.files[address] = asset
	}
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
	if a.otherBuilds == nil {
		return file{}, false
	}
	asset, err := readExported(a.otherBuilds, strings.TrimPrefix(address, Prefix))
	return asset, err == nil
}

// readExported reads an asset under its hashed name, with its variants.
func readExported(directory fs.FS, name string) (file, error) {
	found := exported.FindStringSubmatch(name)
	if found == nil || typeOf(name) == "" {
		return file{}, fmt.Errorf("asset %s: this is not the name of an exported asset", name)
	}
	content, err := fs.ReadFile(directory, name)
	if err != nil {
		return file{}, err
	}
	asset := newFile(content, found[1], typeOf(name))
	asset.readVariants(directory, name)
	return asset, nil
}

// readVariants adds the exported variants of a file to it.
func (f *file) readVariants(directory fs.FS, name string) {
	for _, c := range []coding.Coding{coding.Gzip, coding.Brotli, coding.Zstd} {
		if encoded, err := fs.ReadFile(directory, name+suffixes[c]); err == nil {
			f.keep(c, encoded)
		}
	}
}
