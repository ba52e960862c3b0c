// Package assets serves the static files of pages, each under a name with the hash
// of its content, so that browsers may cache it without limit.
package assets

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
)

// Prefix is the path below which assets are served.
const Prefix = "/assets/"

// Assets are the files of one build, in memory.
type Assets struct {
	paths map[string]string // path by name
	files map[string]file   // file by path

	otherBuilds *os.Root // exported assets of other builds; nil: none
}

// Load reads, hashes and compresses all files of a directory. It returns an error
// for a file whose extension has no known media type.
func Load(directory fs.FS) (*Assets, error) {
	a := &Assets{paths: map[string]string{}, files: map[string]file{}}
	err := fs.WalkDir(directory, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(directory, name)
		if err != nil {
			return err
		}
		return a.add(name, content)
	})
	if err != nil {
		return nil, fmt.Errorf("load assets: %w", err)
	}
	return a, nil
}

// Path returns the path of an asset, such as /assets/live-0123456789abcdef.js for
// live.js. It panics for an unknown name, because that is a bug in a page.
func (a *Assets) Path(name string) string {
	path, ok := a.paths[name]
	if !ok {
		panic("assets: no file " + name)
	}
	return path
}

// ServeHTTP serves the assets of this build and of other builds (see Bridge). It
// ignores the method, so route only GET and HEAD to it.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asset, ok := a.files[r.URL.Path]
	if !ok {
		asset, ok = a.readOtherBuild(r.URL.Path)
	}
	if !ok {
		// A cache must not store this, because another build may have the file.
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "no such asset in this build", http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("Content-Type", asset.contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Add("Vary", "Accept-Encoding")

	body, tag := asset.content, asset.hash
	if asset.gzipped != nil && acceptsGzip(strings.Join(r.Header.Values("Accept-Encoding"), ",")) {
		body, tag = asset.gzipped, asset.hash+"-gzip"
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("ETag", strconv.Quote(tag))
	if NotModified(r, strconv.Quote(tag)) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // fails only when the client has disconnected
}

// Private

type file struct {
	content     []byte
	gzipped     []byte // nil when compression saves less than a tenth
	hash        string
	contentType string
}

func (a *Assets) add(name string, content []byte) error {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:8])
	extension := path.Ext(name)
	contentType := typeOf(name)
	if contentType == "" {
		return fmt.Errorf("asset %s: its extension has no known media type", name)
	}

	var compressed bytes.Buffer
	writer, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress asset %s: %w", name, err)
	}
	if _, err := writer.Write(content); err != nil {
		return fmt.Errorf("compress asset %s: %w", name, err)
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("compress asset %s: %w", name, err)
	}

	asset := file{content: content, hash: hash, contentType: contentType}
	if compressed.Len() < len(content)*9/10 {
		asset.gzipped = compressed.Bytes()
	}
	address := Prefix + strings.TrimSuffix(name, extension) + "-" + hash + extension
	a.paths[name] = address
	a.files[address] = asset
	return nil
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
	}
	return mime.TypeByExtension(path.Ext(name))
}

// acceptsGzip parses an Accept-Encoding field (RFC 9110, section 12.5.3): its weight
// for gzip, or else for *.
func acceptsGzip(field string) bool {
	accepts := false
	for coding := range strings.SplitSeq(strings.ToLower(field), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		switch strings.TrimSpace(name) {
		case "gzip":
			return positive(weight)
		case "*":
			accepts = positive(weight)
		}
	}
	return accepts
}

// positive reports whether a weight such as "q=0.5" is above 0. No weight means 1.
func positive(weight string) bool {
	_, quality, given := strings.Cut(strings.ReplaceAll(weight, " ", ""), "q=")
	value, err := strconv.ParseFloat(quality, 64)
	return !given || err == nil && value > 0
}
