package testorigin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"
)

func TestOrigin_RespondsAsTheQuerySays(t *testing.T) {
	t.Parallel()
	server := serve(t)

	response, body := get(t, server, "page?h=Cache-Control:max-age%3D60&h=Vary:A&h=Vary:B&size=1000&code=203")
	require.Equal(t, http.StatusNonAuthoritativeInfo, response.StatusCode)
	require.Equal(t, "max-age=60", response.Header.Get("Cache-Control"))
	require.Equal(t, []string{"A", "B"}, response.Header.Values("Vary"))
	require.Len(t, body, 1000)
	require.True(t, strings.HasPrefix(body, "n=1\n"), body[:10])
	require.Equal(t, "1", response.Header.Get("X-Origin-N"))

	response, body = get(t, server, "page?empty=1")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Empty(t, body)
	require.Equal(t, "2", response.Header.Get("X-Origin-N"))

	response, _ = get(t, server, "page?code=304")
	require.Equal(t, http.StatusNotModified, response.StatusCode)

	began := time.Now()
	get(t, server, "page?sleep=50")
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
}

func TestOrigin_CutsABody(t *testing.T) {
	t.Parallel()
	response, err := http.Get(serve(t).URL + Prefix + "page?size=1000&cut=1")
	require.NoError(t, err)
	defer response.Body.Close()

	body, err := io.ReadAll(response.Body)

	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, body, 500)
}

func TestOrigin_FailsFromACallOfThePathOn(t *testing.T) {
	t.Parallel()
	server := serve(t)
	get(t, server, "other")
	var statuses []int
	for range 4 {
		response, _ := get(t, server, "page?failfrom=3")
		statuses = append(statuses, response.StatusCode)
	}

	require.Equal(t, []int{200, 200, 500, 500}, statuses)
}

func TestOrigin_RefusesWrongQueries(t *testing.T) {
	t.Parallel()
	server := serve(t)
	for query, problem := range map[string]string{
		"size=x": `size="x": it must be a number from 0 to 67108864`, "code=100": "code=100: a final status is 200 to 599",
		"code=600": `code="600"`, "sleep=-1": `sleep="-1"`, "h=nothing": `h="nothing": a field is Name:Value`,
	} {
		response, body := get(t, server, "page?"+query)
		require.Equal(t, http.StatusBadRequest, response.StatusCode, query)
		require.Contains(t, body, problem)
	}
}

func TestOrigin_StreamsEvents(t *testing.T) {
	t.Parallel()
	response, body := get(t, serve(t), "sse?k=2&cc=public,max-age%3D60")

	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.Equal(t, "public,max-age=60", response.Header.Get("Cache-Control"))
	require.Equal(t, "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n", body)
}

func TestOrigin_EchoesTheRequest(t *testing.T) {
	t.Parallel()
	response, err := http.Post(serve(t).URL+Prefix+"echo?a=b", "text/plain", strings.NewReader("hello"))
	require.NoError(t, err)
	defer response.Body.Close()
	var echoed struct {
		Method, URI, Body string
		Header            http.Header
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&echoed))

	require.Equal(t, "POST", echoed.Method)
	require.Equal(t, Prefix+"echo?a=b", echoed.URI)
	require.Equal(t, "hello", echoed.Body)
	require.Equal(t, "text/plain", echoed.Header.Get("Content-Type"))
}

func TestOrigin_AcceptsAWebSocket(t *testing.T) {
	t.Parallel()
	server := serve(t)
	socket, err := websocket.Dial(strings.Replace(server.URL, "http", "ws", 1)+Prefix+"ws", "", server.URL)
	require.NoError(t, err)
	defer func() { _ = socket.Close() }()

	for _, message := range []string{"ahoy", "again"} {
		require.NoError(t, websocket.Message.Send(socket, message))
		var returned string
		require.NoError(t, websocket.Message.Receive(socket, &returned))
		require.Equal(t, message, returned)
	}
}

func TestBeside_LeavesOtherPathsToTheApp(t *testing.T) {
	t.Parallel()
	response, err := http.Get(serve(t).URL + "/page")
	require.NoError(t, err)
	defer response.Body.Close()

	require.Equal(t, http.StatusTeapot, response.StatusCode)
}

// Private

// serve serves an origin beside an app that responds with 418 to everything.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	server := httptest.NewServer(New().Beside(app))
	t.Cleanup(server.Close)
	return server
}

// got is a response that was read to its end.
type got struct {
	StatusCode int
	Header     http.Header
}

func get(t *testing.T, server *httptest.Server, path string) (got, string) {
	t.Helper()
	response, err := http.Get(server.URL + Prefix + path)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return got{response.StatusCode, response.Header}, string(body)
}
