package edge

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"

	"slipway/internal/edge/httpcache"
	"slipway/internal/edge/testorigin"
)

func TestEdge_GivesEveryRequestAnID(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 10)
	address, _ := serve(t, Options{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get(RequestID)
		w.Header().Set("Cache-Control", "public, max-age=60")
	}))

	for given, kept := range map[string]bool{"a-1.B_2": true, "forged\tline": false, strings.Repeat("x", 129): false, "": false} {
		id := get(t, address+"/"+fmt.Sprint(len(given)), RequestID, given).header.Get(RequestID)
		require.Equal(t, id, <-seen)
		require.Equal(t, kept, id == given, given)
		require.NotEmpty(t, id)
	}
	require.Equal(t, "mine", get(t, address+"/0", RequestID, "mine").header.Get(RequestID), "a stored response has the id of its request")
	require.Empty(t, seen)
	twice := get(t, address+"/twice", RequestID, "one", RequestID, "two").header.Get(RequestID)
	require.NotContains(t, []string{"one", "two"}, twice, "nobody can tell which of them others log")
	require.Equal(t, twice, <-seen)
}

func TestEdge_EventsPassAtOnce(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	address, _ := serve(t, Options{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "public, max-age=60") // wrong, and must not matter
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}))

	for range 2 {
		response := get(t, address+"/live", "Accept-Encoding", "gzip")
		require.Equal(t, "miss", response.header.Get("X-Cache"))
		require.Empty(t, response.header.Get("Content-Encoding"))
		lines := bufio.NewScanner(response.content)
		for i := range 3 {
			require.True(t, lines.Scan())
			require.Equal(t, fmt.Sprintf("data: %d", i), lines.Text())
			require.True(t, lines.Scan())
			next <- struct{}{}
		}
	}
}

func TestEdge_AWebSocketPasses(t *testing.T) {
	t.Parallel()
	address, _ := serve(t, Options{}, testorigin.New())

	for range 2 {
		socket, err := websocket.Dial(strings.Replace(address, "http", "ws", 1)+testorigin.Prefix+"ws", "", address)
		require.NoError(t, err)
		require.NoError(t, websocket.Message.Send(socket, "ahoy"))
		var reply string
		require.NoError(t, websocket.Message.Receive(socket, &reply))
		require.Equal(t, "ahoy", reply)
		require.NoError(t, socket.Close())
	}
}

func TestEdge_CompressesOnceWhatItStores(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	page := strings.Repeat("<p>things for the shore</p>", 200)
	address, _ := serve(t, Options{Registry: registry}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprint(w, page)
	}))

	for _, cache := range []string{"miss", "hit", "hit"} {
		response := get(t, address, "Accept-Encoding", "gzip")
		require.Equal(t, cache, response.header.Get("X-Cache"))
		require.Equal(t, "gzip", response.header.Get("Content-Encoding"))
		require.Equal(t, "Accept-Encoding", response.header.Get("Vary"))
		content, err := gzip.NewReader(response.content)
		require.NoError(t, err)
		text, err := io.ReadAll(content)
		require.NoError(t, err)
		require.Equal(t, page, string(text))

		known := get(t, address, "Accept-Encoding", "gzip", "If-None-Match", response.header.Get("Etag"))
		require.Equal(t, http.StatusNotModified, known.status)
		require.Equal(t, response.header.Get("Etag"), known.header.Get("Etag"))
	}
	metrics, err := testutil.GatherAndCount(registry, "app_edge_requests_total", "app_edge_compressed_responses_total")
	require.NoError(t, err)
	require.Equal(t, 5, metrics)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP app_edge_compressed_responses_total Responses that were compressed while they were sent.
		# TYPE app_edge_compressed_responses_total counter
		app_edge_compressed_responses_total 1
	`), "app_edge_compressed_responses_total"))
}

func TestEdge_WithoutAMemoryNothingIsStored(t *testing.T) {
	t.Parallel()
	calls := 0
	address, edge := serve(t, Options{CacheSize: -1}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		require.Nil(t, httpcache.HandleOf(r))
		w.Header().Set("Cache-Control", "public, max-age=60")
	}))

	for range 2 {
		require.Empty(t, get(t, address).header.Get("X-Cache"))
	}
	require.Equal(t, 2, calls)
	require.Zero(t, edge.Purge("any"))
	require.Zero(t, edge.Expire("any"))
	edge.PurgeAll()
	edge.Distrust(true)
}

// Private

// serve serves an application behind an edge until the test ends.
func serve(t *testing.T, options Options, app http.Handler) (address string, _ *Edge) {
	t.Helper()
	if options.CacheSize == 0 {
		options.CacheSize, options.MaxItemSize = 1<<20, 256<<10
	}
	if options.Registry == nil {
		options.Registry = prometheus.NewRegistry()
	}
	options.Log = slog.New(slog.DiscardHandler)
	edge := New(options, app)
	t.Cleanup(edge.Close)
	server := httptest.NewServer(edge)
	t.Cleanup(server.Close)
	return server.URL, edge
}

// reply is a response, whose body is closed when the test ends.
type reply struct {
	status  int
	header  http.Header
	content io.Reader
}

// get sends a GET with fields of the header. The body must be read before another one.
func get(t *testing.T, address string, fields ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	for i := 0; i < len(fields); i += 2 {
		request.Header[fields[i]] = append(request.Header[fields[i]], fields[i+1])
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableCompression: true}}
	response, err := client.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	return reply{response.StatusCode, response.Header, response.Body}
}
