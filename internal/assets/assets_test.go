package assets

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

var style = strings.Repeat("body { margin: 0 }\n", 200)

func TestPath_ChangesWithTheContent(t *testing.T) {
	t.Parallel()
	before := load(t, fstest.MapFS{"site.css": {Data: []byte("a")}, "deep/live.js": {Data: []byte("b")}})
	after := load(t, fstest.MapFS{"site.css": {Data: []byte("b")}, "deep/live.js": {Data: []byte("b")}})

	require.Regexp(t, `^/assets/site-[0-9a-f]{16}\.css$`, before.Path("site.css"))
	require.Regexp(t, `^/assets/deep/live-[0-9a-f]{16}\.js$`, before.Path("deep/live.js"))
	require.NotEqual(t, before.Path("site.css"), after.Path("site.css"))
	require.Equal(t, before.Path("deep/live.js"), after.Path("deep/live.js"))
	require.Panics(t, func() { before.Path("none.css") })
}

func TestLoad_RefusesAFileOfUnknownType(t *testing.T) {
	t.Parallel()

	_, err := Load(fstest.MapFS{"notes.unknowntype": {}})

	require.ErrorContains(t, err, "asset notes.unknowntype: its extension has no known media type")
}

func TestServeHTTP_LetsBrowsersCacheAssetsWithoutLimit(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}, "live.js": {Data: []byte("x")}, "icon.svg": {Data: []byte("<svg/>")}})

	for name, contentType := range map[string]string{
		"site.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		answer := get(t, assets, assets.Path(name))

		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, "public, max-age=31536000, immutable", answer.Header.Get("Cache-Control"))
		require.Equal(t, contentType, answer.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "Accept-Encoding", answer.Header.Get("Vary"))
	}
}

func TestServeHTTP_CompressesForClientsThatAcceptGzip(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}, "tiny.css": {Data: []byte("a")}})

	for accepted, compressed := range map[string]bool{
		"": false, "identity": false, "br": false, "gzip": true, "br, gzip": true, "GZIP": true, "*": true,
		"gzip;q=0.5": true, "gzip; q=1": true, "gzip;q=0": false, "gzip; q=0.000": false, "GZIP;Q=0": false,
		"gzip;q=x": false, "*;q=0": false, "*;q=0, gzip": true, "gzip;q=0, *": false,
		"gzipped": false, "deflate, gzip;q=1.0, *;q=0.5": true,
	} {
		answer := get(t, assets, assets.Path("site.css"), "Accept-Encoding", accepted)

		require.Equal(t, compressed, answer.Header.Get("Content-Encoding") == "gzip", accepted)
		require.Equal(t, strconv.Itoa(len(answer.body)), answer.Header.Get("Content-Length"))
		if compressed {
			reader, err := gzip.NewReader(bytes.NewReader(answer.body))
			require.NoError(t, err)
			answer.body, err = io.ReadAll(reader)
			require.NoError(t, err)
		}
		require.Equal(t, style, string(answer.body))
	}
	require.Empty(t, get(t, assets, assets.Path("tiny.css"), "Accept-Encoding", "gzip").Header.Get("Content-Encoding"))
}

func TestServeHTTP_DoesNotSendACachedAssetAgain(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}})
	path := assets.Path("site.css")
	plain, compressed := get(t, assets, path).Header.Get("ETag"), get(t, assets, path, "Accept-Encoding", "gzip").Header.Get("ETag")
	require.NotEqual(t, plain, compressed)

	for _, known := range []string{plain, "W/" + plain, `"other", ` + plain, `"a,b" , W/` + plain, "*", " * ", `"other",,` + plain} {
		answer := get(t, assets, path, "If-None-Match", known)
		require.Equal(t, http.StatusNotModified, answer.StatusCode, known)
		require.Empty(t, answer.body)
		require.Equal(t, plain, answer.Header.Get("ETag"))
		require.NotEmpty(t, answer.Header.Get("Cache-Control"))
	}
	unquoted := strings.Trim(plain, `"`)
	for _, other := range []string{"", `"other"`, unquoted, `"` + unquoted, `"x` + unquoted + `"`, `"a,` + plain[1:], "w/" + plain, `"*"`} {
		require.Equal(t, http.StatusOK, get(t, assets, path, "If-None-Match", other).StatusCode, other)
	}
	require.Equal(t, http.StatusOK, get(t, assets, path, "If-None-Match", plain, "Accept-Encoding", "gzip").StatusCode)
}

func TestNotModified_ReadsAllLinesOfTheHeader(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Add("If-None-Match", `"one"`)
	request.Header.Add("If-None-Match", `W/"two"`)

	require.True(t, NotModified(request, `"one"`))
	require.True(t, NotModified(request, `"two"`))
	require.False(t, NotModified(request, `"three"`))
}

func TestServeHTTP_AMissingAssetIsNotCached(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}})

	for _, path := range []string{
		"/assets/", "/assets/site.css", "/assets/site-0000000000000000.css", "/assets/../assets.go",
		"/assets/%2e%2e/assets.go", "/assets/..%2f..%2fetc/passwd", "/assets//etc/passwd",
	} {
		answer := get(t, assets, path)

		require.Equal(t, http.StatusNotFound, answer.StatusCode, path)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
	}
}

func TestServeHTTP_IsRoutedForReadsOnly(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}})
	path := assets.Path("site.css")

	require.Equal(t, http.StatusMethodNotAllowed, send(t, assets, http.MethodPost, path).StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, send(t, assets, http.MethodDelete, path).StatusCode)
}

func TestBridge_ServesTheAssetsOfOtherBuilds(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	old := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}, "deep/live.js": {Data: []byte("old")}})
	require.NoError(t, old.Export(directory))
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte("new")}})
	require.NoError(t, assets.Bridge(directory))

	for _, name := range []string{"site.css", "deep/live.js"} {
		for _, accepted := range []string{"gzip", ""} {
			path := old.Path(name)
			require.Equal(t, get(t, old, path, "Accept-Encoding", accepted), get(t, assets, path, "Accept-Encoding", accepted))
		}
	}
	require.Equal(t, "new", string(get(t, assets, assets.Path("site.css")).body))
}

func TestBridge_ServesNothingElse(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	directory := filepath.Join(outside, "assets")
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "folder-0000000000000000.css"), 0o755))
	for _, name := range []string{
		"secret-0000000000000000.css", "assets/notes.css", "assets/notes-0000000000000000.unknowntype",
		"assets/site-0000000000000000.css.gz",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(outside, name), []byte("secret"), 0o600))
	}
	require.NoError(t, os.Symlink("../secret-0000000000000000.css", filepath.Join(directory, "link-0000000000000000.css")))
	assets := load(t, fstest.MapFS{})
	require.NoError(t, assets.Bridge(directory))

	for _, name := range []string{
		"../secret-0000000000000000.css", "a/../../secret-0000000000000000.css", "link-0000000000000000.css", "folder-0000000000000000.css",
		"notes.css", "notes-0000000000000000.unknowntype", "site-0000000000000000.css.gz",
	} {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.URL.Path = Prefix + name // without the cleaning that a router does
		assets.ServeHTTP(recorder, request)

		require.Equal(t, http.StatusNotFound, recorder.Code, name)
	}
	require.Error(t, assets.Bridge(filepath.Join(outside, "none")))
}

func TestExport_DoesNotChangeExistingFiles(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}})
	require.NoError(t, assets.Export(directory))
	path := filepath.Join(directory, strings.TrimPrefix(assets.Path("site.css"), Prefix))
	before, err := os.Stat(path)
	require.NoError(t, err)

	require.NoError(t, assets.Export(directory))

	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.Equal(t, before.ModTime(), after.ModTime())
	require.Equal(t, fs.FileMode(0o644), after.Mode())
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

// Private

func load(t *testing.T, files fstest.MapFS) *Assets {
	t.Helper()
	assets, err := Load(files)
	require.NoError(t, err)
	return assets
}

// answer is a response with its body.
type answer struct {
	StatusCode int
	Header     http.Header
	body       []byte
}

func get(t *testing.T, assets *Assets, path string, header ...string) answer {
	t.Helper()
	return send(t, assets, http.MethodGet, path, header...)
}

// send requests an asset through an Echo route. The header alternates names and
// values.
func send(t *testing.T, assets *Assets, method, path string, header ...string) answer {
	t.Helper()
	e := echo.New()
	e.GET(Prefix+"*", echo.WrapHandler(assets))
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	e.ServeHTTP(recorder, request)
	return answer{StatusCode: recorder.Code, Header: recorder.Header(), body: recorder.Body.Bytes()}
}
