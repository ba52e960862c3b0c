package assets

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

const changed = ".new { color: #123456 }\n"

func TestFindDeltas_ABrowserLoadsWhatHasChangedSinceItsVersion(t *testing.T) {
	t.Parallel()
	assets, old := twoBuilds(t)
	path := assets.Path("site.css")
	require.Equal(t, "Accept-Encoding", local(t, assets, path, "").Header.Get("Vary"))

	assets.FindDeltas(t.Context())

	whole, delta := local(t, assets, path, ""), local(t, assets, path, available(rules))
	require.Equal(t, "br", whole.Header.Get("Content-Encoding"))
	require.Equal(t, "dcz", delta.Header.Get("Content-Encoding"))
	require.Less(t, len(delta.body), 120)
	require.Equal(t, fmt.Sprint(len(delta.body)), delta.Header.Get("Content-Length"))
	require.Equal(t, rules+changed, decodeBy(t, rules, delta.body))
	for _, answer := range []answer{whole, delta} {
		require.Equal(t, "Accept-Encoding, Available-Dictionary", answer.Header.Get("Vary"))
		require.Equal(t, `match="/assets/site-*.css", match-dest=("style")`, answer.Header.Get("Use-As-Dictionary"))
		require.Equal(t, immutable, answer.Header["Cache-Control"])
	}
	tag := delta.Header.Get("Etag")
	require.Regexp(t, `^"[0-9a-f]{16}-dcz-[0-9a-f]{16}"$`, tag)
	require.NotEqual(t, whole.Header.Get("Etag"), tag)
	require.Equal(t, http.StatusNotModified, local(t, assets, path, available(rules), "If-None-Match", tag).StatusCode)
	require.Equal(t, http.StatusOK, local(t, assets, path, "", "If-None-Match", tag).StatusCode)

	require.Equal(t, rules[10:30], string(local(t, assets, path, available(rules), "Range", "bytes=10-29").body))
	require.Equal(t, "br", local(t, assets, path, available("another")).Header.Get("Content-Encoding"))
	require.Equal(t, "gzip", local(t, assets, path, available(rules), "Accept-Encoding", "gzip").Header.Get("Content-Encoding"))
	require.Equal(t, "br", local(t, assets, old.Path("site.css"), available(rules)).Header.Get("Content-Encoding"))
}

func TestFindDeltas_OverHTTPTheyAreNotOffered(t *testing.T) {
	t.Parallel()
	assets, _ := twoBuilds(t)
	assets.FindDeltas(t.Context())
	path := assets.Path("site.css")

	plain := local(t, assets, "http://shop.example.com"+path, available(rules))
	require.Equal(t, "br", plain.Header.Get("Content-Encoding"))
	require.Empty(t, plain.Header.Get("Use-As-Dictionary"))
	require.Equal(t, "Accept-Encoding", plain.Header.Get("Vary"))

	proxied := local(t, assets, "http://shop.example.com"+path, available(rules), "X-Forwarded-Proto", "https")
	require.Equal(t, "dcz", proxied.Header.Get("Content-Encoding"))
	require.NotEmpty(t, proxied.Header.Get("Use-As-Dictionary"))
	require.Equal(t, "dcz", local(t, assets, "https://shop.example.com"+path, available(rules)).Header.Get("Content-Encoding"))
}

func TestFindDeltas_TakesTheNewestVersionsOfFilesThatAreWorthIt(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	files := fstest.MapFS{
		"site.css": {Data: []byte(rules)}, "short.css": {Data: []byte("a {}")}, "picture.png": {Data: []byte(rules)},
		"deep/live.js": {Data: []byte("let a = 1;" + rules)},
	}
	assets := load(t, files)
	versions := make([]string, 6)
	for i := range versions {
		versions[i] = rules + strings.Repeat("x", i+1)
		build := load(t, fstest.MapFS{
			"site.css": {Data: []byte(versions[i])}, "short.css": {Data: []byte("b {}")}, "picture.png": {Data: []byte(versions[i])},
			"deep/live.js": {Data: []byte("let a = 2;" + rules)}, "gone.css": {Data: []byte(versions[i])},
		})
		require.NoError(t, build.Export(directory))
		exported := filepath.Join(directory, strings.TrimPrefix(build.Path("site.css"), Prefix))
		require.NoError(t, os.Chtimes(exported, time.Time{}, time.Now().Add(time.Duration(i)*time.Hour)))
	}
	require.NoError(t, assets.Export(directory))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "site-0123456789abcdef.css"), make([]byte, maxDeltaFile+1), 0o600))
	require.NoError(t, assets.Bridge(directory))

	assets.FindDeltas(t.Context())

	for i, version := range versions {
		coded := local(t, assets, assets.Path("site.css"), available(version)).Header.Get("Content-Encoding")
		require.Equal(t, i >= 3, coded == "dcz", i)
	}
	require.Equal(t, "dcz", local(t, assets, assets.Path("deep/live.js"), available("let a = 2;"+rules)).Header.Get("Content-Encoding"))
	for _, name := range []string{"short.css", "picture.png"} {
		require.Nil(t, assets.files[assets.Path(name)].deltas.Load(), name)
		require.Empty(t, local(t, assets, assets.Path(name), "").Header.Get("Use-As-Dictionary"), name)
	}
}

func TestFindDeltas_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	assets, _ := twoBuilds(t)
	ended, end := context.WithCancel(t.Context())
	end()

	assets.FindDeltas(ended)

	require.Nil(t, assets.files[assets.Path("site.css")].deltas.Load())
	load(t, fstest.MapFS{}).FindDeltas(t.Context()) // without other builds
	(*Assets)(nil).FindDeltas(t.Context())
}

func TestAddPageDictionary_IsAnAssetForDocuments(t *testing.T) {
	t.Parallel()
	assets := load(t, fstest.MapFS{})
	require.NoError(t, assets.AddPageDictionary([]byte(rules)))

	dictionary, path := assets.PageDictionary()
	require.NotNil(t, dictionary)
	require.Regexp(t, `^/assets/pages-[0-9a-f]{16}\.dict$`, path)
	for _, coding := range []string{"br", "gzip", ""} {
		got := local(t, assets, path, "", "Accept-Encoding", coding)
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Equal(t, coding, got.Header.Get("Content-Encoding"))
		require.Equal(t, rules, decode(t, coding, got.body))
		require.Equal(t, `match="/*", match-dest=("document")`, got.Header.Get("Use-As-Dictionary"))
		require.Equal(t, "application/octet-stream", got.Header.Get("Content-Type"), "no page")
		require.Equal(t, immutable, got.Header["Cache-Control"])
	}

	none, _ := load(t, fstest.MapFS{}).PageDictionary()
	require.Nil(t, none)
}

// Private

// twoBuilds returns the assets of a build with a style sheet, and those of the build before.
func twoBuilds(t *testing.T) (assets, old *Assets) {
	t.Helper()
	directory := t.TempDir()
	old = load(t, fstest.MapFS{"site.css": {Data: []byte(rules)}})
	old.Compress()
	require.NoError(t, old.Export(directory))
	assets = load(t, fstest.MapFS{"site.css": {Data: []byte(rules + changed)}})
	assets.Compress()
	require.NoError(t, assets.Bridge(directory))
	return assets, old
}

// available is how a browser names a dictionary.
func available(dictionary string) string {
	sum := sha256.Sum256([]byte(dictionary))
	return ":" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// local requests an asset on this machine, for a browser that has a dictionary.
func local(t *testing.T, assets *Assets, path, dictionary string, header ...string) answer {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = "http://localhost" + path
	}
	fields := []string{"Accept-Encoding", "gzip, br, zstd, dcb, dcz"}
	if dictionary != "" {
		fields = append(fields, "Available-Dictionary", dictionary)
	}
	return send(t, assets, http.MethodGet, path, append(fields, header...)...)
}

func decodeBy(t *testing.T, dictionary string, raw []byte) string {
	t.Helper()
	reader, err := zstd.NewReader(strings.NewReader(string(raw)), zstd.WithDecoderDictRaw(0, []byte(dictionary)))
	require.NoError(t, err)
	defer reader.Close()
	body, err := io.ReadAll(reader)
	require.NoError(t, err)
	return string(body)
}
