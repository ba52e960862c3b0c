package edge

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/assets"
	"slipway/internal/edge/httpcache"
)

func TestEdge_ServesAssetsBeforeTheCacheAndTheApplication(t *testing.T) {
	t.Parallel()
	files := newAssets(t, 20_000)
	served := make(chan httpcache.Served, 1)
	address, edge := serve(t, Options{
		Assets: files, AssetHeader: http.Header{"Cross-Origin-Resource-Policy": {"same-origin"}},
		Served: func(s httpcache.Served) { served <- s },
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the application has got ", r.URL.Path)
	}))
	path := files.Path("site.css")

	for range 2 {
		asset := get(t, address+path, "Accept-Encoding", "br, gzip")
		body, err := io.ReadAll(asset.content)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, asset.status)
		require.Equal(t, "br", asset.header.Get("Content-Encoding"))
		require.Equal(t, "same-origin", asset.header.Get("Cross-Origin-Resource-Policy"))
		require.NotEmpty(t, asset.header.Get(RequestID))
		require.Empty(t, asset.header.Get("X-Cache"))
		told := <-served
		require.Equal(t, []any{"/assets/*", http.StatusOK, len(body)}, []any{told.Label, told.Status, told.Bytes})
	}
	require.Zero(t, edge.cache.Stats().Keys, "no coding of an asset is stored again")
	require.Equal(t, http.StatusPartialContent, get(t, address+path, "Range", "bytes=0-9").status)
	require.Equal(t, 10, (<-served).Bytes)
	require.Equal(t, http.StatusNotModified, get(t, address+path, "If-None-Match", "*").status)
	require.Equal(t, http.StatusNotModified, (<-served).Status)

	unknown := get(t, address+"/assets/site-0000000000000000.css")
	require.Equal(t, http.StatusNotFound, unknown.status)
	require.Equal(t, "no-store", unknown.header.Get("Cache-Control"))
	require.Equal(t, http.StatusNotFound, (<-served).Status)
	body, err := io.ReadAll(get(t, address+"/assetsnot").content)
	require.NoError(t, err)
	require.Equal(t, "the application has got /assetsnot", string(body))
}

func TestEdge_ARefusedClientGetsNoAssets(t *testing.T) {
	t.Parallel()
	files := newAssets(t, 20_000)
	address, _ := serve(t, Options{
		Assets: files, Refuses: func(r *http.Request) bool { return r.Header.Get("X-Test") == "banned" },
	}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))

	require.Equal(t, http.StatusOK, get(t, address+files.Path("site.css")).status)
	require.Equal(t, http.StatusForbidden, get(t, address+files.Path("site.css"), "X-Test", "banned").status)
}

func TestEdge_CompressesPagesByTheDictionaryAmongTheAssets(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("<p>things for the shore</p>", 200)
	files := newAssets(t, 20_000)
	require.NoError(t, files.AddPageDictionary([]byte(page)))
	address, _ := serve(t, Options{Assets: files}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", map[string]string{"/": "public, max-age=60", "/cart": "private"}[r.URL.Path])
		fmt.Fprint(w, page, r.URL.Path)
	}))

	first := get(t, address, "Accept-Encoding", "zstd", "Sec-Fetch-Dest", "document")
	path, found := strings.CutSuffix(strings.TrimPrefix(first.header.Get("Link"), "<"), `>; rel="compression-dictionary"`)
	require.True(t, found)
	dictionary, err := io.ReadAll(get(t, address+path).content)
	require.NoError(t, err)
	sum := sha256.Sum256(dictionary)
	holds := []string{"Accept-Encoding", "zstd, dcz", "Available-Dictionary", ":" + base64.StdEncoding.EncodeToString(sum[:]) + ":"}

	for _, row := range [][2]string{{"/", "hit"}, {"/", "hit"}, {"/cart", "miss"}} {
		got := get(t, address+row[0], holds...)
		require.Equal(t, "dcz", got.header.Get("Content-Encoding"))
		require.Equal(t, row[1], got.header.Get("X-Cache"))
		require.Equal(t, "Accept-Encoding, Available-Dictionary", got.header.Get("Vary"))
		decoder, err := zstd.NewReader(got.content, zstd.WithDecoderDictRaw(0, dictionary))
		require.NoError(t, err)
		content, err := io.ReadAll(decoder)
		decoder.Close()
		require.NoError(t, err)
		require.Equal(t, page+row[0], string(content))
	}
}

// BenchmarkEdge_Asset is one request for a style sheet of 100 KB, through the whole edge
// but not through net/http.
func BenchmarkEdge_Asset(b *testing.B) {
	files := newAssets(b, 100_000)
	edge := New(Options{
		Assets: files, AssetHeader: http.Header{"Cross-Origin-Resource-Policy": {"same-origin"}},
		CacheSize: 1 << 20, Served: func(httpcache.Served) {}, Registry: prometheus.NewRegistry(),
	}, http.NotFoundHandler())
	defer edge.Close()
	request := httptest.NewRequest(http.MethodGet, files.Path("site.css"), nil)
	request.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	w := &discard{header: http.Header{}}

	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		request.Header.Del(RequestID)
		edge.ServeHTTP(w, request)
	}
	require.Equal(b, "br", w.header.Get("Content-Encoding"))
}

// Private

// newAssets are those of a build with a style sheet of some length.
func newAssets(t testing.TB, length int) *assets.Assets {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var style strings.Builder
	for style.Len() < length {
		fmt.Fprintf(&style, ".c%d { margin: %dpx; color: #%06x }\n", random.IntN(100), random.IntN(64), random.IntN(1<<24))
	}
	files, err := assets.Load(fstest.MapFS{"site.css": {Data: []byte(style.String())}})
	require.NoError(t, err)
	files.Compress()
	return files
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
