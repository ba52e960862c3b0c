package assets

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// Bridge makes Serve also serve the assets that other builds have exported to
// directory. During a deploy, a page of one build may request its assets from a
// process of the other. The assets of this build get the variants that their own build
// has exported there (see Compress). Call it before Serve.
func (a *Assets) Bridge(directory string) error {
	root, err := os.OpenRoot(directory) // prevents access outside the directory
	if err != nil {
		return fmt.Errorf("open the assets of other builds: %w", err)
	}
	a.otherBuilds = newOtherBuilds(root.FS())
	for address, asset := range a.files {
		asset.readVariants(a.otherBuilds.directory, strings.TrimPrefix(address, Prefix))
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
