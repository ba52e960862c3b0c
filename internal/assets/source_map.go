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

// serveSourceMap answers a request for a source map, and reports whether it was one. The
// map changes with the comments of its source and the file does not, so a browser must
// ask for the map each time.
func (a *Assets) serveSourceMap(w http.ResponseWriter, r *http.Request) bool {
	address, isMap := strings.CutSuffix(r.URL.Path, mapSuffix)
	sourceMap := a.files[address].sourceMap
	if !isMap || sourceMap == nil {
		return false
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(sourceMap)))
	_, _ = w.Write(sourceMap) // fails only when the client has disconnected
	return true
}

// readIfExists returns nil for a file that does not exist.
func readIfExists(directory fs.FS, name string) ([]byte, error) {
	content, err := fs.ReadFile(directory, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}
