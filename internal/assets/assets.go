// Package assets serves the files that pages are made of, each under a name
// with the hash of its content, so that browsers may keep them for ever.
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

// Prefix is where assets are served.
const Prefix = "/assets/"

// Assets are the files of one build, ready in memory.
type Assets struct {
	paths map[string]string // name: address
	files map[string]file   // address: file

	others *os.Root // with the assets of other builds; nil for none
}

// Load reads, hashes and compresses all files of a directory.
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

// Path is the address of the asset called name. It panics when there is none,
// because a page then names a file that was never written.
func (a *Assets) Path(name string) string {
	address, ok := a.paths[name]
	if !ok {
		panic("assets: no file " + name)
	}
	return address
}

// ServeHTTP answers for everything below Prefix.
func (a *Assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asset, ok := a.files[r.URL.Path]
	if !ok {
		asset, ok = a.other(r.URL.Path)
	}
	if !ok {
		// Another build may have this file, so nobody may remember that we do not.
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
	if asset.gzipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body, tag = asset.gzipped, asset.hash+"-gzip"
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("ETag", strconv.Quote(tag))
	if strings.Contains(r.Header.Get("If-None-Match"), strconv.Quote(tag)) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client has gone when this fails
}

// Private

type file struct {
	content     []byte
	gzipped     []byte // nil where compressing gains nothing
	hash        string
	contentType string
}

func (a *Assets) add(name string, content []byte) error {
	sum := sha256.Sum256(content)
	hash := hex.EncodeToString(sum[:8])
	extension := path.Ext(name)
	contentType := typeOf(name)
	if contentType == "" {
		return fmt.Errorf("asset %s: its ending is of no known type", name)
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

// typeOf is the media type of a file. The most common ones are written here:
// what the machine knows beyond them differs from one to the next.
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

// acceptsGzip reads an Accept-Encoding field (RFC 9110, section 12.5.3): what
// it says of gzip, or else of everything.
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

// positive reads a weight such as "q=0.5"; none means 1.
func positive(weight string) bool {
	_, quality, given := strings.Cut(strings.ReplaceAll(weight, " ", ""), "q=")
	value, err := strconv.ParseFloat(quality, 64)
	return !given || err == nil && value > 0
}
