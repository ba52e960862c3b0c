package coding

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// page is a product page of about 26 KB.
var page = newPage(26_000)

// newPage makes HTML that compresses as a real page does.
func newPage(size int) string {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("mug blue enamel linen towel oak board garden candle wool blanket kettle stone salt copper pan " +
		"basket lamp paper notebook brass hook soap cedar tray glass jug plate bowl spoon apron clay pot made by hand " +
		"small large warm quiet light heavy durable simple washable finish glaze kiln fired harbour northern coast family " +
		"since winter summer morning coffee tea table kitchen shelf room gift")
	some := func(count int) string {
		chosen := make([]string, count)
		for i := range chosen {
			chosen[i] = words[random.IntN(len(words))]
		}
		return strings.Join(chosen, " ")
	}
	var html strings.Builder
	html.WriteString("<!doctype html><html lang=\"en\"><head><title>" + some(4) + "</title></head><body><main>\n")
	for html.Len() < size {
		fmt.Fprintf(&html, `<article class="card"><a class="card__link" href="/products/%s"><img class="card__picture"
			src="/pictures/%08x.svg" width="320" height="240" alt="%s" loading="lazy"></a><h2 class="card__name">%s</h2>
			<p class="card__text">%s.</p><p class="price">%d.%02d</p><form method="post" action="/cart/lines">
			<input type="hidden" name="variant" value="%d"><button class="button">Add to cart</button></form></article>`+"\n",
			strings.ReplaceAll(some(2), " ", "-"), random.Uint32(), some(2), some(3), some(9),
			random.IntN(90), random.IntN(100), random.IntN(9999))
	}
	return html.String()
}

var discardLog = log.New(io.Discard, "", 0)

// site is a Handler that listens on loopback.
type site struct {
	handler *Handler
	url     string
}

// reply is a response with its body, as it came and decoded.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	length  int64 // Content-Length, -1 for chunks
	raw     []byte
	body    string
}

func newSite(t *testing.T, options Options, next http.HandlerFunc) *site {
	t.Helper()
	s := &site{handler: New(options, next)}
	server := httptest.NewServer(s.handler)
	t.Cleanup(func() {
		server.Close()
		require.Zero(t, s.handler.encoders.lent.Load(), "encoders that were not given back")
	})
	s.url = server.URL
	return s
}

// says returns a handler that sends fields ("Name: value") and a body.
func says(body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		setFields(w.Header(), fields)
		_, _ = io.WriteString(w, body)
	}
}

// request makes a request that accepts zstd and gzip. Fields are "Name: value".
func (s *site) request(t *testing.T, method, path string, fields ...string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	require.NoError(t, err)
	request.Header.Set("Accept-Encoding", "gzip, zstd")
	for _, field := range fields {
		name, _, _ := strings.Cut(field, ": ")
		request.Header.Del(name)
	}
	setFields(request.Header, fields)
	return request
}

// get returns the response to GET, decoded to its end.
func (s *site) get(t *testing.T, fields ...string) reply {
	t.Helper()
	return s.send(t, s.request(t, http.MethodGet, "/", fields...))
}

func (s *site) send(t *testing.T, request *http.Request) reply {
	t.Helper()
	response := s.open(t, request)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	got := reply{status: response.StatusCode, header: response.Header, trailer: response.Trailer, length: response.ContentLength, raw: raw}
	if len(raw) > 0 {
		got.body = decode(t, response.Header.Get("Content-Encoding"), raw)
	}
	return got
}

// open returns a response whose body is not read yet.
func (s *site) open(t *testing.T, request *http.Request) *http.Response {
	t.Helper()
	client := http.Client{
		Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	return response
}

func decode(t *testing.T, coding string, raw []byte) string {
	t.Helper()
	body, err := tryDecode(coding, bytes.NewReader(raw))
	require.NoError(t, err)
	return body
}

func tryDecode(coding string, raw io.Reader) (string, error) {
	reader, err := decoder(coding, raw)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(reader)
	return string(body), err
}

func decoder(coding string, raw io.Reader) (io.Reader, error) {
	switch coding {
	case "gzip":
		return gzip.NewReader(raw)
	case "zstd":
		return zstd.NewReader(raw, zstd.WithDecoderConcurrency(1))
	case "br":
		return brotli.NewReader(raw), nil
	}
	return raw, nil
}

func setFields(header http.Header, fields []string) {
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		header.Add(name, value)
	}
}
