package assets

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"slipway/internal/edge/coding"
)

// rules is a style sheet of about 20 KB.
var rules = newRules()

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

func TestServe_LetsBrowsersCacheAssetsWithoutLimit(t *testing.T) {
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

func TestServe_CompressesForClientsThatAcceptGzip(t *testing.T) {
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

func TestServe_DoesNotSendACachedAssetAgain(t *testing.T) {
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

func TestServe_SendsTheCodingThatTheClientWants(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(rules)}})
	assets.Compress()
	sizes, tags := map[string]int{}, map[string]bool{}

	for accepted, expected := range map[string]string{
		"gzip, deflate, br, zstd": "br", "zstd, gzip": "zstd", "gzip": "gzip", "br;q=0.5, gzip": "gzip", "*": "br",
		"br;q=0, *": "zstd", "": "", "identity": "", "deflate": "",
	} {
		answer := get(t, assets, assets.Path("site.css"), "Accept-Encoding", accepted)

		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, expected, answer.Header.Get("Content-Encoding"), accepted)
		require.Equal(t, strconv.Itoa(len(answer.body)), answer.Header.Get("Content-Length"))
		require.Equal(t, rules, decode(t, expected, answer.body))
		sizes[expected] = len(answer.body)
		tags[answer.Header.Get("ETag")] = true
	}

	require.Len(t, tags, 4, "each coding has its ETag")
	require.Less(t, sizes["br"], sizes["zstd"])
	require.Less(t, sizes["zstd"], sizes["gzip"])
	require.Less(t, sizes["gzip"], sizes[""])
}

func TestServe_HeadGetsTheHeaderOfGet(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(rules)}})
	assets.Compress()
	server := httptest.NewServer(handler(assets))
	t.Cleanup(server.Close)
	client := http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(client.CloseIdleConnections)

	for _, accepted := range []string{"br", "zstd", "gzip", "identity"} {
		headers := map[string]http.Header{}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			request, err := http.NewRequestWithContext(t.Context(), method, server.URL+assets.Path("site.css"), nil)
			require.NoError(t, err)
			request.Header.Set("Accept-Encoding", accepted)
			response, err := client.Do(request)
			require.NoError(t, err)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, method == http.MethodHead, len(body) == 0)
			headers[method] = response.Header
			headers[method].Del("Date")
		}

		require.Equal(t, headers[http.MethodGet], headers[http.MethodHead])
	}
}

func TestServe_EachCodingIsCachedByItself(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(rules)}})
	assets.Compress()
	path := assets.Path("site.css")

	for _, accepted := range []string{"br", "zstd", "gzip", "identity"} {
		tag := get(t, assets, path, "Accept-Encoding", accepted).Header.Get("ETag")
		for _, wanted := range []string{"br", "zstd", "gzip", "identity"} {
			answer := get(t, assets, path, "Accept-Encoding", wanted, "If-None-Match", `"a", W/`+tag)

			require.Equal(t, accepted == wanted, answer.StatusCode == http.StatusNotModified, "%s for %s", accepted, wanted)
		}
	}
}

func TestCompress_KeepsOnlyWhatIsSmallerThanGzip(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{
		"tiny.css":    {Data: []byte("a")},
		"picture.png": {Data: []byte(rules)}, // of a type that is compressed already
	})
	assets.Compress()

	for _, name := range []string{"tiny.css", "picture.png"} {
		for _, accepted := range []string{"br", "zstd", "gzip"} {
			require.Empty(t, get(t, assets, assets.Path(name), "Accept-Encoding", accepted).Header.Get("Content-Encoding"))
		}
	}
	asset := newFile([]byte("0123456789"), "hash", "text/css")
	asset.keep(coding.Gzip, []byte("01234567"))
	asset.keep(coding.Zstd, []byte("01234567"))
	asset.keep(coding.Brotli, []byte("0123456"))
	require.Equal(t, []coding.Coding{coding.Brotli, coding.Gzip}, asset.offers)
}

func TestServe_RangesAreOfTheIdentity(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(rules)}})
	assets.Compress()
	path := assets.Path("site.css")
	plain, zipped := get(t, assets, path).Header.Get("ETag"), get(t, assets, path, "Accept-Encoding", "gzip").Header.Get("ETag")

	part := get(t, assets, path, "Accept-Encoding", "gzip, br", "Range", "bytes=10-29", "If-Range", plain)
	require.Equal(t, http.StatusPartialContent, part.StatusCode)
	require.Equal(t, rules[10:30], string(part.body))
	require.Equal(t, plain, part.Header.Get("ETag"))
	require.Empty(t, part.Header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", part.Header.Get("Vary"))

	whole := get(t, assets, path, "Accept-Encoding", "gzip", "Range", "bytes=10-29", "If-Range", zipped)
	require.Equal(t, http.StatusOK, whole.StatusCode)
	require.Equal(t, rules, string(whole.body))

	beyond := get(t, assets, path, "Range", "bytes=9999999-")
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, beyond.StatusCode)

	require.Equal(t, "bytes", get(t, assets, path).Header.Get("Accept-Ranges"))
	require.Empty(t, get(t, assets, path, "Accept-Encoding", "br").Header.Get("Accept-Ranges"))
}

func TestServe_AMissingAssetIsNotCached(t *testing.T) {
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

func TestServe_AnAssetCanOnlyBeRead(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}})
	path := assets.Path("site.css")

	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodOptions} {
		refused := send(t, assets, method, path)

		require.Equal(t, http.StatusMethodNotAllowed, refused.StatusCode)
		require.Equal(t, "GET, HEAD", refused.Header.Get("Allow"))
	}
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

func TestBridge_FindsAssetsThatADeployAddsLaterAndKeepsThem(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	later := load(t, fstest.MapFS{"site.css": {Data: []byte(style)}})
	path := later.Path("site.css")
	assets := load(t, fstest.MapFS{})
	require.NoError(t, assets.Bridge(directory))
	require.Equal(t, http.StatusNotFound, get(t, assets, path).StatusCode)

	require.NoError(t, later.Export(directory))
	require.Equal(t, style, string(get(t, assets, path).body))

	require.NoError(t, os.RemoveAll(directory))
	require.Equal(t, style, string(get(t, assets, path).body), "from memory")
}

func TestOtherBuilds_KeepNoMoreThanTheyHaveRoomFor(t *testing.T) {
	t.Parallel()
	directory := fstest.MapFS{
		"a-0000000000000001.css": {Data: []byte("12345")}, "b-0000000000000002.css": {Data: []byte("123")},
	}
	other := newOtherBuilds(directory)
	other.room = 6

	for _, name := range []string{"a-0000000000000001.css", "b-0000000000000002.css", "a-0000000000000001.css"} {
		require.Equal(t, directory[name].Data, other.file(Prefix+name).content())
	}
	require.Len(t, other.kept, 1)
	require.Equal(t, 1, other.room)
}

func TestBridge_ServesWhatTheBuildHasCompressed(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	files := fstest.MapFS{"site.css": {Data: []byte(rules)}}
	built := load(t, files)
	built.Compress()
	require.NoError(t, built.Export(directory))
	path := built.Path("site.css")
	exported := filepath.Join(directory, strings.TrimPrefix(path, Prefix))
	for _, suffix := range []string{"", ".br", ".zst", ".gz"} {
		require.FileExists(t, exported+suffix)
	}

	same, other := load(t, files), load(t, fstest.MapFS{})
	require.NoError(t, same.Bridge(directory))
	require.NoError(t, other.Bridge(directory))

	for _, accepted := range []string{"br", "zstd", "gzip", "identity"} {
		expected := get(t, built, path, "Accept-Encoding", accepted)
		require.Equal(t, expected, get(t, same, path, "Accept-Encoding", accepted))
		require.Equal(t, expected, get(t, other, path, "Accept-Encoding", accepted))
	}
}

func TestBridge_ServesNothingElse(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	directory := filepath.Join(outside, "assets")
	require.NoError(t, os.MkdirAll(filepath.Join(directory, "folder-0000000000000000.css"), 0o755))
	for _, name := range []string{
		"secret-0000000000000000.css", "assets/notes.css", "assets/notes-0000000000000000.unknowntype",
		"assets/site-0000000000000000.css.gz", "assets/site-0000000000000000.css.br", "assets/site-0000000000000000.css.zst",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(outside, name), []byte("secret"), 0o600))
	}
	require.NoError(t, os.Symlink("../secret-0000000000000000.css", filepath.Join(directory, "link-0000000000000000.css")))
	assets := load(t, fstest.MapFS{})
	require.NoError(t, assets.Bridge(directory))

	for _, name := range []string{
		"../secret-0000000000000000.css", "a/../../secret-0000000000000000.css", "link-0000000000000000.css", "folder-0000000000000000.css",
		"notes.css", "notes-0000000000000000.unknowntype", "site-0000000000000000.css.gz",
		"site-0000000000000000.css.br", "site-0000000000000000.css.zst",
	} {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.URL.Path = Prefix + name // without the cleaning that a router does
		assets.Serve(recorder, request)

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

// newRules makes a style sheet that compresses as real ones do.
func newRules() string {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"margin", "padding", "color", "width", "border", "display", "flex", "grid", "gap", "font"}
	var rules strings.Builder
	for range 600 {
		fmt.Fprintf(&rules, ".%s-%s { %s: %dpx; %s: #%06x }\n", words[random.IntN(10)], words[random.IntN(10)],
			words[random.IntN(10)], random.IntN(64), words[random.IntN(10)], random.IntN(1<<24))
	}
	return rules.String()
}

func decode(t *testing.T, name string, raw []byte) string {
	t.Helper()
	var reader io.Reader = bytes.NewReader(raw)
	var err error
	switch name {
	case "gzip":
		reader, err = gzip.NewReader(reader)
	case "zstd":
		reader, err = zstd.NewReader(reader, zstd.WithDecoderConcurrency(1))
	case "br":
		reader = brotli.NewReader(reader)
	}
	require.NoError(t, err)
	body, err := io.ReadAll(reader)
	require.NoError(t, err)
	return string(body)
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

// send requests an asset. The header alternates names and values.
func send(t *testing.T, assets *Assets, method, path string, header ...string) answer {
	t.Helper()
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	status, sent := assets.Serve(recorder, request)
	require.Equal(t, recorder.Code, status)
	require.Equal(t, recorder.Body.Len(), sent)
	return answer{StatusCode: recorder.Code, Header: recorder.Header(), body: recorder.Body.Bytes()}
}

func handler(assets *Assets) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { assets.Serve(w, r) })
}
