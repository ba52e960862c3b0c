package assets

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
)

// mapSuffix is added to the name of a file for its source map.
const mapSuffix = ".map"

// Private

// sourceMap returns the source map at a path, and nil when there is none.
func (a *Assets) sourceMap(address string) []byte {
	source, isMap := strings.CutSuffix(address, mapSuffix)
	if !isMap || a.files[source] == nil {
		return nil
	}
	return a.files[source].sourceMap
}

// serveSourceMap sends a source map. It changes with the comments of its source and the
// file does not, so a browser must ask for it each time.
func serveSourceMap(w http.ResponseWriter, r *http.Request, sourceMap []byte) (status, bytes int) {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(sourceMap)))
	return http.StatusOK, sendBody(w, r, sourceMap)
}

// readIfExists returns nil for a file that does not exist.
func readIfExists(directory fs.FS, name string) ([]byte, error) {
	content, err := fs.ReadFile(directory, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
