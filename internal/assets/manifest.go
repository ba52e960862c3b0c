package assets

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/internal/edge/coding"
)

// manifestName is the file of a build that lists the others.
const manifestName = "manifest.json"

// WriteManifest writes the list of all files to directory, beside those that Export
// writes there. Load reads it.
func (a *Assets) WriteManifest(directory string) error {
	text, err := json.MarshalIndent(a.manifest, "", "  ")
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(directory, manifestName), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	return nil
}

// Private

// manifest has an entry for every file, by its name.
type manifest map[string]entry

// entry is what a page says about a file.
type entry struct {
	File      string `json:"file"`      // the hashed name
	Integrity string `json:"integrity"` // of the identity
}

// readManifest returns nil for a directory that has none.
func readManifest(directory fs.FS) (manifest, error) {
	text, err := fs.ReadFile(directory, manifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list manifest
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read %s: %w", manifestName, err)
	}
	return list, nil
}

// readBuild adds the files of a manifest.
func (a *Assets) readBuild(directory fs.FS, list manifest) error {
	for name, entry := range list {
		asset, err := readExported(directory, entry.File)
		if err != nil {
			return err
		}
		// A browser would refuse the file, and the page would have no style.
		if integrity(asset.content()) != entry.Integrity {
			return fmt.Errorf("asset %s: %s is not the file that %s describes", name, entry.File, manifestName)
		}
		if asset.in(coding.Gzip) == nil {
			asset.compressQuickly()
		}
		if asset.sourceMap, err = readIfExists(directory, entry.File+mapSuffix); err != nil {
			return err
		}
		a.files[Prefix+entry.File] = asset
	}
	a.manifest = list
	return nil
}

// integrity returns the digest of a file for the attribute integrity of a page.
func integrity(content []byte) string {
	sum := sha512.Sum384(content)
	return "sha384-" + base64.StdEncoding.EncodeToString(sum[:])
}
