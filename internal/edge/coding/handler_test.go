package coding

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestHandler_CompressesInTheCodingThatTheClientWants(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, says(page, "Content-Type: text/html; charset=utf-8", "Content-Length: "+strconv.Itoa(len(page))))

	for accept, coding := range map[string]string{
		"gzip, deflate, br, zstd": "zstd", "gzip, deflate, br": "gzip", "zstd;q=0.5, gzip": "gzip", "*": "zstd",
		"": "", "br": "", "identity": "", "gzip;q=0": "", "*;q=0": "",
	} {
		got := site.get(t, "Accept-Encoding: "+accept)

		require.Equal(t, coding, got.header.Get("Content-Encoding"), accept)
		require.Equal(t, []string{"Accept-Encoding"}, got.header["Vary"])
		require.Equal(t, page, got.body)
		if coding != "" {
			require.Less(t, len(got.raw), len(page)/5)
		} else {
			require.Equal(t, int64(len(page)), got.length)
		}
	}
}

func TestHandler_CompressesOnlyWhatIsEligible(t *testing.T) {
	t.Parallel()
	const html, vary = "Content-Type: text/html", "Accept-Encoding"
	for name, row := range map[string]struct {
		fields     []string
		compressed bool
		vary       string
	}{
		"HTML":                    {[]string{html}, true, vary},
		"capital letters":         {[]string{"Content-Type: Text/HTML ; charset=utf-8"}, true, vary},
		"SVG":                     {[]string{"Content-Type: image/svg+xml"}, true, vary},
		"manifest":                {[]string{"Content-Type: application/manifest+json"}, true, vary},
		"a detected type":         {nil, true, vary},
		"an image":                {[]string{"Content-Type: image/png"}, false, ""},
		"a video":                 {[]string{"Content-Type: video/mp4"}, false, ""},
		"a font":                  {[]string{"Content-Type: font/woff2"}, false, ""},
		"an archive":              {[]string{"Content-Type: application/zip"}, false, ""},
		"an event stream":         {[]string{"Content-Type: text/event-stream"}, false, ""},
		"an unknown type":         {[]string{"Content-Type: application/octet-stream"}, false, ""},
		"no-transform":            {[]string{html, "Cache-Control: public", "Cache-Control: max-age=9,No-Transform"}, false, ""},
		"quoted no-transform":     {[]string{html, `Cache-Control: x="a\", no-transform, b"`}, true, vary},
		"the handler's coding":    {[]string{html, "Content-Encoding: own", "Vary: Accept-Encoding"}, false, vary},
		"a trailer":               {[]string{html, "Trailer: Server-Timing"}, false, ""},
		"Vary of the handler":     {[]string{html, "Vary: Cookie", "Vary: Origin, X-A"}, true, "Cookie, Origin, X-A, Accept-Encoding"},
		"Vary that names it":      {[]string{html, "Vary: Cookie, accept-encoding"}, true, "Cookie, accept-encoding"},
		"Vary in the second line": {[]string{html, "Vary: Cookie", "Vary: Accept-Encoding"}, true, "Cookie|Accept-Encoding"},
		"Vary of everything":      {[]string{html, "Vary: *"}, true, "*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := newSite(t, Options{}, says(page, row.fields...))

			got := site.send(t, site.request(t, http.MethodGet, "/", "Accept-Encoding: gzip"))

			require.Equal(t, row.compressed, bytes.HasPrefix(got.raw, []byte{0x1f, 0x8b}))
			require.Equal(t, row.vary, strings.Join(got.header["Vary"], "|"))
		})
	}
}

// Caches in front of the edge need Vary whenever another client gets another body, and
// keep fewer copies when it is left out of the rest.
func TestHandler_VariesOnlyWhenOtherClientsGetAnotherBody(t *testing.T) {
	t.Parallel()
	const short, long = MinSize - 1, MinSize
	clients := map[string][]string{
		"compressed": {"Accept-Encoding: zstd"}, "identity": {"Accept-Encoding: identity"},
		"from another site": {"Accept-Encoding: zstd", "Sec-Fetch-Site: cross-site", "Cookie: a=1"},
	}
	for name, row := range map[string]struct {
		size   int
		fields []string
		vary   string
	}{
		"short":                  {short, nil, ""},
		"short, declared":        {short, []string{"Content-Length: " + strconv.Itoa(short)}, ""},
		"long":                   {long, nil, "Accept-Encoding"},
		"long, declared":         {long, []string{"Content-Length: " + strconv.Itoa(long)}, "Accept-Encoding"},
		"short, Vary of its own": {short, []string{"Vary: Cookie"}, "Cookie"},
	} {
		site := newSite(t, Options{}, says(page[:row.size], append([]string{"Content-Type: text/html"}, row.fields...)...))
		for client, fields := range clients {
			got := site.get(t, fields...)

			require.Equal(t, row.vary, got.header.Get("Vary"), "%s, %s", name, client)
			require.Equal(t, page[:row.size], got.body)
		}
	}
}

func TestHandler_LeavesSmallBodiesAsTheyAre(t *testing.T) {
	t.Parallel()
	for size, compressed := range map[int]bool{0: false, 1: false, MinSize - 1: false, MinSize: true, MinSize + 1: true} {
		for _, pieces := range []int{1, 2, 7} {
			body := page[:size]
			site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.WriteHeader(http.StatusNotFound)
				for rest := body; rest != ""; {
					piece := min(len(rest), size/pieces+1)
					_, err := io.WriteString(w, rest[:piece])
					require.NoError(t, err)
					rest = rest[piece:]
				}
			})

			got := site.get(t)

			require.Equal(t, http.StatusNotFound, got.status)
			require.Equal(t, body, got.body)
			require.Equal(t, compressed, got.header.Get("Content-Encoding") == "zstd", "%d bytes in %d pieces", size, pieces)
			if compressed {
				require.Equal(t, "Accept-Encoding", got.header.Get("Vary"))
			} else {
				require.Empty(t, got.header.Get("Vary"))
				require.Equal(t, int64(size), got.length)
			}
		}
	}
}

func TestHandler_DetectsTheTypeOfTheBodyNotOfTheCoding(t *testing.T) {
	t.Parallel()
	for _, body := range []string{page, "<!doctype html><p>small"} {
		site := newSite(t, Options{}, says(body))

		for _, accept := range []string{"gzip", "identity"} {
			require.Equal(t, "text/html; charset=utf-8", site.get(t, "Accept-Encoding: "+accept).header.Get("Content-Type"))
		}
	}
	untyped := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, page)
	})
	require.Empty(t, untyped.get(t).header["Content-Type"])
}

func TestHandler_ResponsesWithoutAWholeBody(t *testing.T) {
	t.Parallel()
	for status, vary := range map[int]string{
		http.StatusNoContent: "Accept-Encoding", http.StatusNotModified: "Accept-Encoding", http.StatusPartialContent: "Accept-Encoding",
	} {
		site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Etag", `"x"`)
			if status == http.StatusPartialContent {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/99999", len(page)-1))
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, page)
		})

		got := site.get(t)

		require.Equal(t, status, got.status)
		require.Empty(t, got.header.Get("Content-Encoding"))
		require.Equal(t, `"x"`, got.header.Get("Etag"))
		require.Equal(t, vary, got.header.Get("Vary"), status)
	}
}

func TestHandler_RequestsWithARangeGetTheIdentity(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Etag", `"x"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(page))
	})

	part := site.get(t, "Range: bytes=100-199")
	require.Equal(t, http.StatusPartialContent, part.status)
	require.Equal(t, page[100:200], part.body)
	require.Equal(t, `"x"`, part.header.Get("Etag"))

	for _, tag := range []string{`"x-zstd"`, `W/"x-zstd"`} {
		whole := site.get(t, "Range: bytes=100-199", "If-Range: "+tag)
		require.Equal(t, http.StatusOK, whole.status)
		require.Equal(t, page, string(whole.raw))
	}

	coded := site.get(t)
	require.Equal(t, "zstd", coded.header.Get("Content-Encoding"))
	require.Empty(t, coded.header.Get("Accept-Ranges"))
	require.Equal(t, page, coded.body)
}

func TestHandler_HeadGetsTheHeaderOfGet(t *testing.T) {
	t.Parallel()
	whole := says(page, "Content-Type: text/html", `Etag: "x"`)
	for name, next := range map[string]http.HandlerFunc{
		"a handler that writes the body": whole,
		"a handler with a length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(page)))
			if r.Method == http.MethodHead {
				setFields(w.Header(), []string{"Content-Type: text/html", `Etag: "x"`})
				return
			}
			whole(w, r)
		},
		"a handler without a length": func(w http.ResponseWriter, r *http.Request) {
			setFields(w.Header(), []string{"Content-Type: text/html", `Etag: "x"`})
			if r.Method != http.MethodHead {
				_, _ = io.WriteString(w, page)
			}
		},
		"a small body":               says("small", "Content-Type: text/html", `Etag: "x"`),
		"a body of another type":     says(page, "Content-Type: image/png", `Etag: "x"`),
		"a body without a type":      says(page, `Etag: "x"`),
		"a small body with a length": says("small", "Content-Type: text/html", `Etag: "x"`, "Content-Length: 5"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := newSite(t, Options{}, next)
			for _, accept := range []string{"gzip", "zstd", "identity"} {
				get := site.get(t, "Accept-Encoding: "+accept)

				head := site.send(t, site.request(t, http.MethodHead, "/", "Accept-Encoding: "+accept))

				require.Empty(t, head.raw)
				for _, name := range []string{"Content-Encoding", "Vary", "Etag", "Content-Type"} {
					require.Equal(t, get.header[name], head.header[name], "%s of %s", name, accept)
				}
			}
		})
	}
}

func TestHandler_RemovesWhatDescribesTheIdentity(t *testing.T) {
	t.Parallel()
	fields := []string{
		"Content-Digest: sha-256=:AA==:", "Repr-Digest: sha-256=:AA==:", "Digest: sha-256=AA==", "Content-MD5: AA==",
		"Accept-Ranges: bytes",
	}
	site := newSite(t, Options{}, says(page, append(fields, "Content-Type: text/html", "X-Other: a")...))

	coded, plain := site.get(t), site.get(t, "Accept-Encoding: identity")

	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		require.Empty(t, coded.header.Get(name))
		require.Equal(t, value, plain.header.Get(name))
	}
	require.Equal(t, "a", coded.header.Get("X-Other"))
}

func TestHandler_FlushSendsAtOnce(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"gzip", "zstd", "identity"} {
		for _, first := range []string{"<p>one</p>", page} {
			next := make(chan struct{})
			site := newSite(t, Options{Jitter: 32}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				_, _ = io.WriteString(w, first)
				require.NoError(t, http.NewResponseController(w).Flush())
				<-next
				_, _ = io.WriteString(w, "<p>two</p>")
				w.(http.Flusher).Flush()
				<-next
				_, _ = io.WriteString(w, "<p>end</p>")
			})
			response := site.open(t, site.request(t, http.MethodGet, "/", "Accept-Encoding: "+accept))
			defer response.Body.Close()
			reader, err := decoder(response.Header.Get("Content-Encoding"), response.Body)
			require.NoError(t, err)
			require.Equal(t, accept != "identity", response.Header.Get("Content-Encoding") == accept)

			for _, part := range []string{first, "<p>two</p>", "<p>end</p>"} {
				got := make([]byte, len(part))
				_, err := io.ReadFull(reader, got)
				require.NoError(t, err)
				require.Equal(t, part, string(got))
				if part != "<p>end</p>" {
					next <- struct{}{}
				}
			}
			rest, err := io.ReadAll(reader)
			require.NoError(t, err)
			require.Empty(t, rest)
		}
	}
}

func TestHandler_EventStreamsPassAtOnce(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		controller := http.NewResponseController(w)
		for range 3 {
			require.NoError(t, controller.SetWriteDeadline(time.Now().Add(time.Minute)))
			_, _ = io.WriteString(w, "data: one\n\n")
			require.NoError(t, controller.Flush())
			<-next
		}
	})
	response := site.open(t, site.request(t, http.MethodGet, "/"))
	defer response.Body.Close()
	require.Empty(t, response.Header.Get("Content-Encoding"))
	require.Zero(t, site.handler.encoders.lent.Load())

	for range 3 {
		event := make([]byte, len("data: one\n\n"))
		_, err := io.ReadFull(response.Body, event)
		require.NoError(t, err)
		require.Equal(t, "data: one\n\n", string(event))
		next <- struct{}{}
	}
}

func TestHandler_AFlushBeforeTheBodySendsTheHeader(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.(http.Flusher).Flush()
		<-next
		_, _ = io.WriteString(w, "late")
	})

	response := site.open(t, site.request(t, http.MethodGet, "/"))
	defer response.Body.Close()
	require.Equal(t, "zstd", response.Header.Get("Content-Encoding"))
	close(next)

	body, err := tryDecode("zstd", response.Body)
	require.NoError(t, err)
	require.Equal(t, "late", body)
}

func TestHandler_InterimResponsesPass(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		Never(w)
		w.Header().Set("Link", "</site.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	})
	var interim []textproto.MIMEHeader
	request := site.request(t, http.MethodGet, "/")
	request = request.WithContext(httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
			require.Equal(t, http.StatusEarlyHints, status)
			interim = append(interim, header)
			return nil
		},
	}))

	got := site.send(t, request)

	require.Len(t, interim, 1)
	require.NotContains(t, interim[0], neverHeader)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, page, string(got.raw))
}

func TestHandler_AnAbortedResponseIsTruncated(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"gzip", "zstd"} {
		for name, abort := range map[string]func(){
			"abort": func() { panic(http.ErrAbortHandler) },
			"panic": func() { panic("a bug") },
			"short": func() {},
		} {
			t.Run(accept+" "+name, func(t *testing.T) {
				t.Parallel()
				site := quiet(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "text/html")
					if name == "short" {
						w.Header().Set("Content-Length", strconv.Itoa(len(page)))
					}
					_, _ = io.WriteString(w, page[:20_000])
					require.NoError(t, http.NewResponseController(w).Flush())
					abort()
				})

				response := site.open(t, site.request(t, http.MethodGet, "/", "Accept-Encoding: "+accept))
				defer response.Body.Close()
				require.Equal(t, accept, response.Header.Get("Content-Encoding"))
				raw, err := io.ReadAll(response.Body)
				require.Error(t, err, "the framing has an end")
				body, err := tryDecode(accept, bytes.NewReader(raw))
				require.Error(t, err, "the coding has an end")
				require.True(t, strings.HasPrefix(page[:20_000], body))
			})
		}
	}
}

func TestHandler_APanicDoesNotEndTheCoding(t *testing.T) {
	t.Parallel()
	for _, accept := range []string{"gzip", "zstd"} {
		handler := New(Options{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			says(page, "Content-Type: text/html")(w, r)
			require.NoError(t, http.NewResponseController(w).Flush())
			panic(http.ErrAbortHandler)
		}))
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		request.Header.Set("Accept-Encoding", accept)
		recorder := httptest.NewRecorder()

		require.PanicsWithValue(t, http.ErrAbortHandler, func() { handler.ServeHTTP(recorder, request) })

		_, err := tryDecode(accept, recorder.Body)
		require.Error(t, err)
		require.Zero(t, handler.encoders.lent.Load())
	}
}

func TestHandler_APanicBeforeTheDecisionSendsNothing(t *testing.T) {
	t.Parallel()
	site := quiet(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "small")
		panic(http.ErrAbortHandler)
	})

	_, err := http.DefaultTransport.RoundTrip(site.request(t, http.MethodGet, "/")) //nolint:bodyclose // there is no response

	require.Error(t, err)
}

func TestHandler_RefusesMoreThanTheDeclaredLength(t *testing.T) {
	t.Parallel()
	refused := make(chan error, 1)
	site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", "2000")
		_, _ = io.WriteString(w, page[:2000])
		_, err := io.WriteString(w, "more")
		refused <- err
	})

	require.Equal(t, page[:2000], site.get(t).body)
	require.ErrorIs(t, <-refused, http.ErrContentLength)
}

func TestHandler_RefusesWritesAfterTheResponse(t *testing.T) {
	t.Parallel()
	var kept http.ResponseWriter
	handler := New(Options{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept = w
		says(page, "Content-Type: text/html")(w, r)
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request.Header.Set("Accept-Encoding", "gzip")
	handler.ServeHTTP(httptest.NewRecorder(), request)

	_, err := io.WriteString(kept, "late")
	require.ErrorIs(t, err, errEnded)
	require.ErrorIs(t, http.NewResponseController(kept).Flush(), errEnded)
}

func TestHandler_WebSocketsPass(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		hijack := w.(http.Hijacker).Hijack
		if r.URL.Path == "/controller" {
			hijack = http.NewResponseController(w).Hijack
		}
		connection, buffer, err := hijack()
		require.NoError(t, err)
		defer func() { _ = connection.Close() }()
		_, _ = buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		require.NoError(t, buffer.Flush())
		line, err := buffer.ReadString('\n')
		require.NoError(t, err)
		_, _ = buffer.WriteString("you said " + line)
		require.NoError(t, buffer.Flush())
	})
	for _, path := range []string{"/", "/controller"} {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(site.url, "http://"))
		require.NoError(t, err)
		reader := bufio.NewReader(connection)
		_, err = fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n"+
			"Connection: Upgrade\r\nUpgrade: echo\r\n\r\n", path)
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
		require.NoError(t, response.Body.Close())

		_, err = io.WriteString(connection, "hello\n")
		require.NoError(t, err)
		answer, err := reader.ReadString('\n')

		require.NoError(t, err)
		require.Equal(t, "you said hello\n", answer)
		require.NoError(t, connection.Close())
	}
}

func TestHandler_NobodyTakesACompressedResponseOver(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
		_, _, err := http.NewResponseController(w).Hijack()
		require.ErrorIs(t, err, http.ErrNotSupported)
	})

	answer := site.get(t, "Accept-Encoding: gzip")

	require.Equal(t, "gzip", answer.header.Get("Content-Encoding"))
}

func TestHandler_FilesAreSentByTheServer(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(page), 0o600))
	for _, contentType := range []string{"image/png", "text/html", ""} {
		direct := make(chan bool, 1)
		handler := New(Options{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			file, err := os.Open(name)
			require.NoError(t, err)
			defer func() { _ = file.Close() }()
			n, err := io.Copy(w, file)
			require.NoError(t, err)
			require.Equal(t, int64(len(page)), n)
		}))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			recorder := &readerFrom{ResponseWriter: w}
			handler.ServeHTTP(recorder, r)
			direct <- recorder.used
		}))
		t.Cleanup(server.Close)
		site := &site{handler: handler, url: server.URL}

		got := site.get(t)

		require.Equal(t, page, got.body)
		require.Equal(t, contentType == "image/png", got.header.Get("Content-Encoding") == "")
		require.Equal(t, contentType == "image/png", <-direct)
	}
}

func TestHandler_LeavesRequestBodiesAlone(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.Copy(w, r.Body)
	})
	request := site.request(t, http.MethodPost, "/", "Content-Encoding: gzip")
	request.Body = io.NopCloser(strings.NewReader(page))

	require.Equal(t, page, site.send(t, request).body)
}

func TestHandler_AroundEcho(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.GET("/page", func(c echo.Context) error { return c.HTML(http.StatusOK, page) })
	e.GET("/stream", func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTML)
		_, _ = io.WriteString(c.Response(), "<p>one</p>")
		c.Response().Flush()
		_, _ = io.WriteString(c.Response(), page)
		return nil
	})
	e.GET("/secret", func(c echo.Context) error {
		Never(c.Response())
		return c.HTML(http.StatusOK, page)
	})
	site := newSite(t, Options{}, e.ServeHTTP)

	for path, expected := range map[string]reply{
		"/page":   {header: http.Header{"Content-Encoding": {"zstd"}}, body: page},
		"/stream": {header: http.Header{"Content-Encoding": {"zstd"}}, body: "<p>one</p>" + page},
		"/secret": {body: page},
	} {
		got := site.send(t, site.request(t, http.MethodGet, path))

		require.Equal(t, expected.header.Get("Content-Encoding"), got.header.Get("Content-Encoding"), path)
		require.Equal(t, expected.body, got.body)
		require.NotContains(t, got.header, neverHeader)
	}
	require.Equal(t, http.StatusNotFound, site.send(t, site.request(t, http.MethodGet, "/none")).status)
}

func TestHandler_TrailersPass(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, page)
		w.Header().Set("X-Sum", "42")
	})

	got := site.get(t)

	require.Equal(t, page, string(got.raw))
	require.Equal(t, "42", got.trailer.Get("X-Sum"))
}

func TestHandler_SendsTheIdentityWhenAllEncodersAreInUse(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	site := newSite(t, Options{Encoders: 1}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Etag", `"x"`)
		_, _ = io.WriteString(w, page)
		if r.URL.Path == "/slow" {
			w.(http.Flusher).Flush()
			<-next
		}
	})
	slow := site.open(t, site.request(t, http.MethodGet, "/slow"))
	defer slow.Body.Close()

	busy := site.get(t)
	require.Empty(t, busy.header.Get("Content-Encoding"))
	require.Equal(t, `"x"`, busy.header.Get("Etag"))
	require.Equal(t, "Accept-Encoding", busy.header.Get("Vary"))
	require.Equal(t, page, busy.body)

	close(next)
	body, err := tryDecode("zstd", slow.Body)
	require.NoError(t, err)
	require.Equal(t, page, body)
	require.Eventually(t, func() bool { return site.handler.encoders.lent.Load() == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, "zstd", site.get(t).header.Get("Content-Encoding"))
	require.Equal(t, uint64(1), site.handler.Stats().Busy)
}

func TestHandler_EncodersServeOneResponseAtATime(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{Jitter: 16}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for range 20 {
			_, _ = io.WriteString(w, strings.Repeat(r.URL.Path+" ", 100))
		}
		if strings.HasSuffix(r.URL.Path, "7") {
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	})
	var running sync.WaitGroup
	for i := range 40 {
		running.Go(func() {
			path := "/" + strconv.Itoa(i)
			response := site.open(t, site.request(t, http.MethodGet, path, "Accept-Encoding: "+[]string{"gzip", "zstd"}[i%2]))
			defer response.Body.Close()
			body, err := tryDecode(response.Header.Get("Content-Encoding"), response.Body)
			if i%10 == 7 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, strings.Repeat(path+" ", 2000), body)
		})
	}
	running.Wait()
}

func TestHandler_CountsWhatItCompresses(t *testing.T) {
	t.Parallel()
	site := newSite(t, Options{}, says(page, "Content-Type: text/html"))

	got := site.get(t)
	site.get(t, "Accept-Encoding: identity")

	require.Equal(t, Stats{Compressed: 1, BytesIn: uint64(len(page)), BytesOut: uint64(len(got.raw))}, site.handler.Stats())
}

// Private

// quiet is a site whose server does not log panics.
func quiet(t *testing.T, next http.HandlerFunc) *site {
	t.Helper()
	s := &site{handler: New(Options{}, next)}
	server := httptest.NewUnstartedServer(s.handler)
	server.Config.ErrorLog = discardLog
	server.Start()
	t.Cleanup(func() {
		server.Close()
		require.Zero(t, s.handler.encoders.lent.Load(), "encoders that were not given back")
	})
	s.url = server.URL
	return s
}

// readerFrom notices whether a file was passed to the server.
type readerFrom struct {
	http.ResponseWriter
	used bool
}

func (w *readerFrom) ReadFrom(source io.Reader) (int64, error) {
	w.used = true
	return io.Copy(w.ResponseWriter, source)
}
