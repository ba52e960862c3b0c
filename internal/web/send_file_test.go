package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestSendFile_SendsTheWholeFileAndItsRanges(t *testing.T) {
	t.Parallel()
	site, _ := newFileSite(t, map[string]string{"2026/invoice-7.pdf": "0123456789"})
	path := "/files/2026/invoice-7.pdf"

	whole := site.get(t, path)
	require.Equal(t, http.StatusOK, whole.StatusCode)
	require.Equal(t, "0123456789", whole.body)
	require.Equal(t, int64(10), whole.ContentLength)
	require.Equal(t, "application/pdf", whole.Header.Get("Content-Type"))
	require.Equal(t, "bytes", whole.Header.Get("Accept-Ranges"))
	require.Equal(t, "nosniff", whole.Header.Get("X-Content-Type-Options"))
	require.Empty(t, whole.Header.Get("Content-Disposition"))
	tag, modified := whole.Header.Get("Etag"), whole.Header.Get("Last-Modified")

	for _, condition := range []string{"", tag, modified} {
		part := site.get(t, path, "Range", "bytes=2-4", "If-Range", condition)
		require.Equal(t, http.StatusPartialContent, part.StatusCode, condition)
		require.Equal(t, "234", part.body)
		require.Equal(t, "bytes 2-4/10", part.Header.Get("Content-Range"))
	}
	require.Equal(t, "0123456789", site.get(t, path, "Range", "bytes=2-4", "If-Range", `"other"`).body)
	require.Equal(t, "789", site.get(t, path, "Range", "bytes=-3").body)
	require.Contains(t, site.get(t, path, "Range", "bytes=0-1,4-5").body, "bytes 4-5/10", "several ranges")
	beyond := site.get(t, path, "Range", "bytes=10-")
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, beyond.StatusCode)
	require.Equal(t, "bytes */10", beyond.Header.Get("Content-Range"))
}

func TestSendFile_DoesNotSendWhatTheClientHas(t *testing.T) {
	t.Parallel()
	site, directory := newFileSite(t, map[string]string{"a.pdf": "before"})
	first := site.get(t, "/files/a.pdf")
	tag, modified := first.Header.Get("Etag"), first.Header.Get("Last-Modified")

	// The query makes each request the first one of its address, which the cache would
	// let ask for the whole file.
	for i, condition := range [][2]string{
		{"If-None-Match", tag}, {"If-None-Match", `"x", W/` + tag}, {"If-None-Match", "*"}, {"If-Modified-Since", modified},
	} {
		known := site.get(t, fmt.Sprintf("/files/a.pdf?%d", i), condition[0], condition[1])
		require.Equal(t, http.StatusNotModified, known.StatusCode, condition)
		require.Equal(t, tag, known.Header.Get("Etag"))
		require.Empty(t, known.body)
	}

	require.NoError(t, os.WriteFile(filepath.Join(directory, "a.pdf"), []byte("after!"), 0o600))
	changed := site.get(t, "/files/a.pdf", "If-None-Match", tag)
	require.Equal(t, "after!", changed.body, "a file of the same length")
	require.Equal(t, http.StatusPreconditionFailed, site.get(t, "/files/a.pdf", "If-Match", tag).StatusCode)
}

func TestSendFile_HeadHasTheHeaderOfGet(t *testing.T) {
	t.Parallel()
	site, _ := newFileSite(t, map[string]string{"a.pdf": "0123456789", "a.csv": strings.Repeat("1,2,3\n", 1000)})

	for _, path := range []string{"/files/a.pdf", "/files/a.csv"} {
		get, head := site.get(t, path, "Accept-Encoding", "gzip"), site.send(t, http.MethodHead, path, nil, "Accept-Encoding", "gzip")

		require.Equal(t, http.StatusOK, head.StatusCode)
		require.Empty(t, head.body)
		for _, name := range []string{"Content-Type", "Content-Encoding", "Etag", "Last-Modified", "Accept-Ranges"} {
			require.Equal(t, get.Header.Get(name), head.Header.Get(name), "%s of %s", name, path)
		}
	}
	require.Equal(t, int64(10), site.send(t, http.MethodHead, "/files/a.pdf", nil).ContentLength)
	require.Equal(t, 1, strings.Count(site.log.String(), " bytes=10 "), "a HEAD reads nothing of the file")
}

func TestSendFile_SendsNothingFromOutsideItsRoot(t *testing.T) {
	t.Parallel()
	site, directory := newFileSite(t, map[string]string{"inside.pdf": "inside", "folder/file.pdf": "file"})
	secret := filepath.Join(filepath.Dir(directory), "secret.pdf")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	links := map[string]string{
		"outside.pdf": "../secret.pdf", "absolute.pdf": secret, "parent": "..", "loop.pdf": "loop.pdf", "alias.pdf": "folder/file.pdf",
	}
	for name, target := range links {
		require.NoError(t, os.Symlink(target, filepath.Join(directory, name)))
	}
	require.NoError(t, syscall.Mkfifo(filepath.Join(directory, "pipe.pdf"), 0o600))

	for _, name := range []string{
		"../secret.pdf", "..%2fsecret.pdf", "%2e%2e/secret.pdf", "folder/../../secret.pdf", "folder/..%2f..%2fsecret.pdf", secret,
		"/" + secret, "%2f" + secret, "outside.pdf", "absolute.pdf", "parent/secret.pdf", "parent", "loop.pdf", "pipe.pdf", "folder", ".", "",
		"none.pdf", "inside.pdf/x", "inside.pdf%00.txt", strings.Repeat("x", 300), `..\secret.pdf`,
	} {
		answer := site.get(t, "/files/"+name)
		require.Equal(t, http.StatusNotFound, answer.StatusCode, name)
		require.NotContains(t, answer.body, "secret", name)
	}
	require.Equal(t, "file", site.get(t, "/files/alias.pdf").body, "a link that stays inside")
	require.NotContains(t, site.log.String(), "level=ERROR")
}

func TestSendFile_AnUploadIsNoPageOfTheApplication(t *testing.T) {
	t.Parallel()
	page := "<!doctype html><script>alert(1)</script>"
	site, directory := newFileSite(t, nil)

	for name, contentType := range map[string]string{
		"a.html": "text/html; charset=utf-8", "a.svg": "image/svg+xml", "a.XML": "text/xml; charset=utf-8",
		"a.csv": "text/csv; charset=utf-8", "a": "application/octet-stream", "a.zzz": "application/octet-stream", "a.pdf": "application/pdf",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(page), 0o600))
		answer := site.get(t, "/files/"+name)

		require.Equal(t, contentType, answer.Header.Get("Content-Type"), name)
		require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"), name)
		active := strings.Contains(contentType, "html") || strings.Contains(contentType, "xml")
		require.Equal(t, active, strings.HasPrefix(answer.Header.Get("Content-Security-Policy"), "sandbox;"), name)
	}
}

func TestSendFile_NamesADownload(t *testing.T) {
	t.Parallel()
	site, _ := newFileSite(t, map[string]string{"7": "x"})

	for name, field := range map[string]string{
		"invoice 7.pdf":      `attachment; filename="invoice 7.pdf"`,
		`say "hi".txt`:       `attachment; filename="say \"hi\".txt"`,
		"Rechnung für Ö.pdf": `attachment; filename*=utf-8''Rechnung%20f%C3%BCr%20%C3%96.pdf`,
		"a\r\nX-Forged: 1":   `attachment; filename*=utf-8''a%0D%0AX-Forged%3A%201`,
	} {
		answer := site.get(t, "/download/7", "X-Save-As", strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(name))

		require.Equal(t, field, answer.Header.Get("Content-Disposition"))
		require.Empty(t, answer.Header.Get("X-Forged"))
		require.Equal(t, "text/x-invoice", answer.Header.Get("Content-Type"))
	}
}

func TestSendFile_IsStoredOnlyWhereItsRouteSaysSo(t *testing.T) {
	t.Parallel()
	site, _ := newFileSite(t, map[string]string{"a.pdf": "0123456789", "large.pdf": strings.Repeat("x", 100<<10)})

	for range 2 {
		answer := site.get(t, "/files/a.pdf")
		require.NotEqual(t, "hit", answer.Header.Get("X-Cache"))
		require.Equal(t, "private, no-cache", answer.Header.Get("Cache-Control"))
	}
	for i, cache := range []string{"miss", "hit"} {
		answer := site.get(t, "/shared/a.pdf")
		require.Equal(t, cache, answer.Header.Get("X-Cache"))
		require.Equal(t, "0123456789", answer.body)
		require.Equal(t, "234", site.get(t, "/shared/a.pdf", "Range", "bytes=2-4").body, i)
		require.Equal(t, http.StatusNotModified, site.get(t, "/shared/a.pdf", "If-None-Match", answer.Header.Get("Etag")).StatusCode)

		require.NotEqual(t, "hit", site.get(t, "/shared/large.pdf").Header.Get("X-Cache"), "larger than the cache takes")
	}
}

func TestSendFile_IsCompressedAsAPageIs(t *testing.T) {
	t.Parallel()
	rows := strings.Repeat("harbour-enamel-mug,14.00,EUR\n", 10_000)
	site, _ := newFileSite(t, map[string]string{"export.csv": rows, "export.zip": rows})

	coded := site.get(t, "/files/export.csv", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", coded.Header.Get("Content-Encoding"))
	require.Less(t, len(coded.body), len(rows)/10)
	require.Empty(t, coded.Header.Get("Accept-Ranges"))
	require.Equal(t, http.StatusNotModified,
		site.get(t, "/files/export.csv", "Accept-Encoding", "gzip", "If-None-Match", coded.Header.Get("Etag")).StatusCode)

	part := site.get(t, "/files/export.csv", "Accept-Encoding", "gzip", "Range", "bytes=0-6")
	require.Equal(t, "harbour", part.body)
	require.Equal(t, rows, site.get(t, "/files/export.zip", "Accept-Encoding", "gzip").body)
}

func TestSendFile_HoldsNoLargeFileInMemory(t *testing.T) {
	t.Parallel()
	returned := make(chan struct{})
	directory := t.TempDir()
	root := openRoot(t, directory)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "large.bin"), nil, 0o600))
	require.NoError(t, os.Truncate(filepath.Join(directory, "large.bin"), 1<<30))
	given := options(t, &stacktest.Journal{})
	given.CacheSize, given.MaxCacheItem = 4<<30, 2<<30 // room for it, if it were stored
	server := newServer(t, given, testPages(func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error {
			defer close(returned)
			return SendFile(c, root, File{Name: "large.bin"})
		})
	}))

	response, err := http.Get(server.URL)
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, response.Body, 1<<20)
	require.NoError(t, err)
	select {
	case <-returned:
		require.Fail(t, "the handler has returned, so something holds what the client has not read")
	default:
	}
	require.NoError(t, response.Body.Close())
	<-returned
}

func TestSendFile_MayTakeLongerThanAPage(t *testing.T) {
	t.Parallel()
	const size = 32 << 20 // more than the buffers between the two
	directory := t.TempDir()
	root := openRoot(t, directory)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "large.bin"), nil, 0o600))
	require.NoError(t, os.Truncate(filepath.Join(directory, "large.bin"), size))
	handler := New(options(t, &stacktest.Journal{}), testPages(func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error { return SendFile(c, root, File{Name: "large.bin"}) })
	}))
	t.Cleanup(handler.Close)
	server := httptest.NewUnstartedServer(handler)
	server.Config.WriteTimeout = 100 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)

	response, err := http.Get(server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	time.Sleep(3 * server.Config.WriteTimeout) // the client is slow
	received, err := io.Copy(io.Discard, response.Body)

	require.NoError(t, err)
	require.Equal(t, int64(size), received)
}

// The path that the connection copies a file by is the one of sendfile(2).
func TestSendFile_ReachesTheConnectionAsAFile(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	root := openRoot(t, directory)
	require.NoError(t, os.WriteFile(filepath.Join(directory, "a.bin"), make([]byte, 1<<20), 0o600))
	handler := New(options(t, &stacktest.Journal{}), testPages(func(e *echo.Echo) {
		e.GET("/", func(c echo.Context) error { return SendFile(c, root, File{Name: "a.bin"}) })
	}))
	t.Cleanup(handler.Close)
	var files atomic.Int64
	server := httptest.NewUnstartedServer(handler)
	server.Listener = &watchedListener{Listener: server.Listener, files: &files}
	server.Start()
	t.Cleanup(server.Close)

	response, err := http.Get(server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	received, err := io.Copy(io.Discard, bufio.NewReader(response.Body))

	require.NoError(t, err)
	require.Equal(t, int64(1<<20), received)
	require.Equal(t, int64(4), files.Load(), "one for each 256 KB")
}

// Private

// newFileSite serves files of a directory, below /files/, /shared/ and /download/.
func newFileSite(t *testing.T, files map[string]string) (_ *site, directory string) {
	t.Helper()
	directory = filepath.Join(t.TempDir(), "root")
	for name, content := range files {
		file := filepath.Join(directory, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	require.NoError(t, os.MkdirAll(directory, 0o755))
	root := openRoot(t, directory)
	send := func(c echo.Context) error { return SendFile(c, root, File{Name: c.Param("*")}) }
	site := newSite(t, func(e *echo.Echo) {
		e.GET("/files/*", send)
		e.GET("/shared/*", send, Share(Sharing{Fresh: time.Minute}))
		e.GET("/download/:id", func(c echo.Context) error {
			saveAs := strings.NewReplacer(`\r`, "\r", `\n`, "\n").Replace(c.Request().Header.Get("X-Save-As"))
			return SendFile(c, root, File{Name: c.Param("id"), SaveAs: saveAs, ContentType: "text/x-invoice"})
		})
	})
	return site, directory
}

func openRoot(t *testing.T, directory string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(directory)
	require.NoError(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// watchedListener counts what its connections read from files.
type watchedListener struct {
	net.Listener
	files *atomic.Int64
}

func (l *watchedListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	return watchedConnection{connection, l.files}, err
}

type watchedConnection struct {
	net.Conn
	files *atomic.Int64
}

func (c watchedConnection) ReadFrom(from io.Reader) (int64, error) {
	if limited, ok := from.(*io.LimitedReader); ok {
		if _, isFile := limited.R.(*os.File); isFile {
			c.files.Add(1)
		}
	}
	return io.Copy(c.Conn, from)
}
