// Package assets serves the static files of pages, each under a name with the hash
// of its content, so that browsers may cache it without limit.
package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"strings"

	"slipway/internal/edge/coding"
)

// Prefix is the path below which assets are served.
const Prefix = "/assets/"

// Assets are the files of one build, in memory.
type Assets struct {
	manifest manifest
	files    map[string]*file // by path

	otherBuilds *otherBuilds // nil: none

	pageDictionary     *coding.Dictionary // nil: none
	pageDictionaryPath string
}

// Load reads a directory that assets/build has written, by its manifest. Of a directory
// without a manifest it reads and hashes all files. It compresses what is not compressed
// yet with a fast gzip, because the start of a process waits for that: see Compress for
// the rest. It returns an error for a file whose extension has no known media type.
func Load(directory fs.FS) (*Assets, error) {
	a := &Assets{manifest: manifest{}, files: map[string]*file{}}
	list, err := readManifest(directory)
	switch {
	case err != nil:
	case list != nil:
		err = a.readBuild(directory, list)
	default:
		err = a.addAll(directory)
	}
	if err != nil {
		return nil, fmt.Errorf("load assets: %w", err)
	}
	return a, nil
}

// Compress compresses all files as far as it goes, with Brotli and zstd too, and keeps
// what is smaller than gzip. For 40 KB that takes 0.2 s and 35 MB of memory, so a build
// does it once, and a process gets the result by Bridge.
func (a *Assets) Compress() {
	for _, asset := range a.files {
		if !coding.Compressible(asset.contentType[0]) {
			continue
		}
		for _, c := range []coding.Coding{coding.Gzip, coding.Brotli, coding.Zstd} {
			if encoded, smaller := coding.Encode(c, coding.Best, asset.content()); smaller {
				asset.keep(c, encoded)
			}
		}
	}
}

// Join returns the assets of several packages as one. A nil one has no files. Path and
// the page dictionary are those of the first that has any. It panics when two have a file
// of the same name with other content, because that is a bug in a build.
func Join(all ...*Assets) *Assets {
	joined := &Assets{manifest: manifest{}, files: map[string]*file{}}
	for _, one := range all {
		if one == nil {
			continue
		}
		for name, entry := range one.manifest {
			if there, taken := joined.manifest[name]; taken && there != entry {
				panic("assets: two packages have a file " + name)
			}
			joined.manifest[name] = entry
		}
		maps.Copy(joined.files, one.files)
		if joined.otherBuilds == nil {
			joined.otherBuilds = one.otherBuilds
		}
		if joined.pageDictionary == nil {
			joined.pageDictionary, joined.pageDictionaryPath = one.pageDictionary, one.pageDictionaryPath
		}
	}
	if len(joined.files) == 0 && joined.otherBuilds == nil {
		return nil
	}
	return joined
}

// Path returns the path of an asset, such as /assets/live-0123456789abcdef.js for
// live.js. It panics for an unknown name, because that is a bug in a page.
func (a *Assets) Path(name string) string { return Prefix + a.entry(name).File }

// Integrity returns the digest of an asset for the attribute integrity of its script or
// link: a browser uses the file only if it has this digest. It panics as Path does.
func (a *Assets) Integrity(name string) string { return a.entry(name).Integrity }

// Serve answers a request for a path below Prefix, and returns the status and how many
// bytes of a body it sent. It serves the assets of this build and of other builds (see
// Bridge), in the coding that the client wants most of those there are, and each with a
// strong ETag. A request with Range gets the identity. If the build made source maps, it
// serves those too.
func (a *Assets) Serve(w http.ResponseWriter, r *http.Request) (status, bytes int) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return refuse(w, http.StatusMethodNotAllowed, "an asset can only be read")
	}
	asset := a.files[r.URL.Path]
	if asset == nil {
		asset = a.otherBuilds.file(r.URL.Path)
	}
	if asset != nil {
		return asset.serve(w, r)
	}
	if sourceMap := a.sourceMap(r.URL.Path); sourceMap != nil {
		return serveSourceMap(w, r, sourceMap)
	}
	// A cache must not store this, because another build may have the file.
	return refuse(w, http.StatusNotFound, "no such asset in this build")
}

// Private

func (a *Assets) entry(name string) entry {
	found, ok := a.manifest[name]
	if !ok {
		panic("assets: no file " + name)
	}
	return found
}

// addAll adds all files of a directory.
func (a *Assets) addAll(directory fs.FS) error {
	return fs.WalkDir(directory, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(directory, name)
		if err != nil {
			return err
		}
		return a.add(name, content)
	})
}

func (a *Assets) add(name string, content []byte) error {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:8])
	extension := path.Ext(name)
	contentType := typeOf(name)
	if contentType == "" {
		return fmt.Errorf("asset %s: its extension has no known media type", name)
	}

	asset := newFile(content, hash, contentType)
	asset.compressQuickly()
	asset.becomeDictionary(name)
	hashed := strings.TrimSuffix(name, extension) + "-" + hash + extension
	a.manifest[name] = entry{File: hashed, Integrity: integrity(content)}
	a.files[Prefix+hashed] = asset
	return nil
}

// refuse sends an error that no cache stores.
func refuse(w http.ResponseWriter, status int, reason string) (int, int) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, reason, status)
	return status, len(reason) + 1
}

// typeOf returns the media type of a file, or "" when it is unknown. The common
// types are constants, because the mime package's differ between machines.
func typeOf(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case dictionaryExtension:
		return "application/octet-stream"
	}
	return mime.TypeByExtension(path.Ext(name))
}
