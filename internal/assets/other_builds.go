package assets

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"sync"

	"slipway/internal/edge/coding"
)

// Private

// otherBuilds are the exported assets of other builds. Those that were requested stay in
// memory up to maxKept bytes, because their content never changes. A nil otherBuilds has none.
type otherBuilds struct {
	directory fs.FS

	lock sync.RWMutex
	kept map[string]*file // by path
	room int              // in bytes
}

// maxKept is more than a handful of builds of a large site has.
const maxKept = 16 << 20

func newOtherBuilds(directory fs.FS) *otherBuilds {
	return &otherBuilds{directory: directory, kept: map[string]*file{}, room: maxKept}
}

// file returns the asset at a path, and nil when there is none. A deploy may add it at
// any time.
func (o *otherBuilds) file(address string) *file {
	if o == nil {
		return nil
	}
	o.lock.RLock()
	known := o.kept[address]
	o.lock.RUnlock()
	if known != nil {
		return known
	}
	asset, err := readExported(o.directory, strings.TrimPrefix(address, Prefix))
	if err != nil {
		return nil
	}
	o.keep(address, asset)
	return asset
}

func (o *otherBuilds) keep(address string, asset *file) {
	o.lock.Lock()
	defer o.lock.Unlock()
	if size := asset.size(); o.kept[address] == nil && size <= o.room {
		o.kept[address] = asset
		o.room -= size
	}
}

// exported matches the hashed name of an asset.
var exported = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._/-]*)-([0-9a-f]{16})(\.[a-z0-9]+)$`)

// readExported reads an asset under its hashed name, with its variants.
func readExported(directory fs.FS, name string) (*file, error) {
	found := exported.FindStringSubmatch(name)
	if found == nil || typeOf(name) == "" {
		return nil, fmt.Errorf("asset %s: this is not the name of an exported asset", name)
	}
	content, err := fs.ReadFile(directory, name)
	if err != nil {
		return nil, err
	}
	asset := newFile(content, found[2], typeOf(name))
	asset.readVariants(directory, name)
	asset.becomeDictionary(found[1] + found[3])
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
