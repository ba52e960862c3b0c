package assets

import (
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestIntegrity_IsTheDigestOfWhatBrowsersGet(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}})

	body := get(t, assets, assets.Path("site.css")).body

	sum := sha512.Sum384(body)
	require.Equal(t, "sha384-"+base64.StdEncoding.EncodeToString(sum[:]), assets.Integrity("site.css"))
	require.Panics(t, func() { assets.Integrity("none.css") })
}

func TestLoad_ReadsABuildByItsManifest(t *testing.T) {
	t.Parallel()
	built, directory := build(t, fstest.MapFS{"site.css": {Data: []byte(rules)}, "deep/live.js": {Data: []byte("x")}})

	loaded, err := Load(os.DirFS(directory))

	require.NoError(t, err)
	for _, name := range []string{"site.css", "deep/live.js"} {
		path := built.Path(name)
		require.Equal(t, path, loaded.Path(name))
		require.Equal(t, built.Integrity(name), loaded.Integrity(name))
		for _, accepted := range []string{"br", "zstd", "gzip", "identity"} {
			require.Equal(t, get(t, built, path, "Accept-Encoding", accepted), get(t, loaded, path, "Accept-Encoding", accepted))
		}
	}
	require.Panics(t, func() { loaded.Path("manifest.json") })
}

func TestLoad_CompressesABuildThatIsNotCompressed(t *testing.T) {
	t.Parallel()
	built, directory := build(t, fstest.MapFS{"site.css": {Data: []byte(rules)}})
	for _, suffix := range suffixes {
		require.NoError(t, os.Remove(exportedFile(directory, built, "site.css")+suffix))
	}

	loaded, err := Load(os.DirFS(directory))

	require.NoError(t, err)
	require.Equal(t, "gzip", get(t, loaded, loaded.Path("site.css"), "Accept-Encoding", "br, gzip").Header.Get("Content-Encoding"))
}

func TestLoad_RefusesAFileThatBrowsersWouldRefuse(t *testing.T) {
	t.Parallel()
	built, directory := build(t, fstest.MapFS{"site.css": {Data: []byte(style)}})
	file := exportedFile(directory, built, "site.css")

	require.NoError(t, os.WriteFile(file, []byte(style+" "), 0o600))
	_, err := Load(os.DirFS(directory))
	require.ErrorContains(t, err, "asset site.css: "+filepath.Base(file)+" is not the file that manifest.json describes")

	require.NoError(t, os.Remove(file))
	_, err = Load(os.DirFS(directory))
	require.ErrorIs(t, err, os.ErrNotExist)

	require.NoError(t, os.WriteFile(filepath.Join(directory, manifestName), []byte("{"), 0o600))
	_, err = Load(os.DirFS(directory))
	require.ErrorContains(t, err, "read manifest.json")
}

func TestServe_SourceMapsAreNotCached(t *testing.T) {
	t.Parallel()
	built, directory := build(t, fstest.MapFS{"live.js": {Data: []byte("x")}})
	file := exportedFile(directory, built, "live.js")
	require.NoError(t, os.WriteFile(file+".map", []byte(`{"version":3}`), 0o600))
	loaded, err := Load(os.DirFS(directory))
	require.NoError(t, err)
	path := loaded.Path("live.js")

	require.Equal(t, path+".map", get(t, loaded, path).Header.Get("SourceMap"))
	answer := get(t, loaded, path+".map")

	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, `{"version":3}`, string(answer.body))
	require.Equal(t, "no-cache", answer.Header.Get("Cache-Control"))
	require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
	for _, none := range []string{path + ".map.map", "/assets/.map", "/assets/live-0123456789abcdef.js.map"} {
		answer := get(t, loaded, none)
		require.Equal(t, http.StatusNotFound, answer.StatusCode, none)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	}
}

// Private

// build writes files as assets/build does, to the directory that it returns.
func build(t *testing.T, files fstest.MapFS) (*Assets, string) {
	t.Helper()
	directory := t.TempDir()
	built := load(t, files)
	built.Compress()
	require.NoError(t, built.Export(directory))
	require.NoError(t, built.WriteManifest(directory))
	return built, directory
}

func exportedFile(directory string, assets *Assets, name string) string {
	return filepath.Join(directory, filepath.FromSlash(strings.TrimPrefix(assets.Path(name), Prefix)))
}
