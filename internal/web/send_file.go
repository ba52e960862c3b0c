package web

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/edge/httpcache"
)

// File is a file that SendFile sends.
type File struct {
	Name        string // its path below the root, with slashes
	SaveAs      string // the name under which browsers save it; empty: they show it where they can
	ContentType string // empty: by the extension of Name
}

// SendFile sends a file below root, as a web server does for X-Sendfile: whole or in
// ranges, or not at all when the client has it already, as it is read, without holding
// it in memory. A client that takes less than 256 KB in 30 seconds is disconnected.
//
// Everything that is not a regular file below root is 404: other paths, symbolic links
// that lead outside, directories. So the name may come from the request, but whether this
// client may see that file is for the handler to decide.
//
// A browser never guesses the type of a file, and runs no script of one that is shown. A
// file without its own Cache-Control gets "private, no-cache", and is stored by the edge
// only on a route with Share.
func SendFile(c echo.Context, root *os.Root, file File) error {
	content, err := open(root, file.Name)
	if err != nil {
		return err
	}
	defer content.Close()
	about, err := content.Stat()
	if err != nil {
		return fmt.Errorf("send file %s: %w", file.Name, err)
	}
	if !about.Mode().IsRegular() {
		return echo.NewHTTPError(http.StatusNotFound)
	}
	describe(c.Response().Header(), file, about)
	http.ServeContent(fileWriter{c.Response()}, fileRequest(c), "", about.ModTime(), content)
	return nil
}

// Private

// open opens a file, without waiting for the other end of a pipe.
func open(root *os.Root, name string) (*os.File, error) {
	if !filepath.IsLocal(name) {
		return nil, echo.NewHTTPError(http.StatusNotFound)
	}
	content, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		return content, nil
	}
	// An error without a number of the system says that a link leads outside.
	var number syscall.Errno
	if !errors.As(err, &number) || errors.Is(err, fs.ErrNotExist) || isImpossible(number) {
		return nil, echo.NewHTTPError(http.StatusNotFound).SetInternal(err)
	}
	return nil, fmt.Errorf("send file %s: %w", name, err)
}

// isImpossible reports whether no file can have the name that led to an error.
func isImpossible(number syscall.Errno) bool {
	switch number {
	case syscall.EINVAL, syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.ELOOP, syscall.ENXIO:
		return true
	}
	return false
}

// describe sets the header of a file.
func describe(header http.Header, file File, about fs.FileInfo) {
	contentType := file.ContentType
	if contentType == "" {
		contentType = typeOf(file.Name)
	}
	header.Set(echo.HeaderContentType, contentType)
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	header.Set("ETag", `"`+strconv.FormatInt(about.ModTime().UnixNano(), 36)+"-"+strconv.FormatInt(about.Size(), 36)+`"`)
	if header.Get(echo.HeaderCacheControl) == "" {
		header.Set(echo.HeaderCacheControl, "private, no-cache")
	}
	if file.SaveAs != "" {
		header.Set(echo.HeaderContentDisposition, mime.FormatMediaType("attachment", map[string]string{"filename": file.SaveAs}))
	}
	if mayRunScripts(contentType) {
		header.Set(echo.HeaderContentSecurityPolicy, "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'")
	}
}

// typeOf returns the media type of a file. Those that the mime package knows on some
// machines only are constants.
func typeOf(name string) string {
	switch extension := strings.ToLower(path.Ext(name)); extension {
	case ".csv":
		return "text/csv; charset=utf-8"
	case ".eml":
		return "message/rfc822"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".xlsx":
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	case ".zip":
		return "application/zip"
	default:
		if known := mime.TypeByExtension(extension); known != "" {
			return known
		}
		return echo.MIMEOctetStream
	}
}

// mayRunScripts reports whether a browser that shows a document of this type runs its
// scripts, with the rights of the pages. A PDF must not be in a sandbox, because
// Chromium shows none there.
func mayRunScripts(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err != nil || mediaType == "text/html" || mediaType == "text/xml" || mediaType == "application/xml" ||
		strings.HasSuffix(mediaType, "+xml")
}

// fileRequest is the request that decides which part of a file is sent: HEAD gets none,
// and a file that is not stored for others is compared with what the client has.
func fileRequest(c echo.Context) *http.Request {
	r := c.Request()
	if !IsShared(c) {
		r = httpcache.HandleOf(r).Conditional(r)
	}
	if IsHead(c) {
		head := *r
		head.Method = http.MethodHead
		r = &head
	}
	return r
}

// fileWriter lets the system send a file without copying it.
type fileWriter struct{ *echo.Response }

// A client must take fileChunk bytes within fileChunkTime.
const (
	fileChunk     = 256 << 10
	fileChunkTime = 30 * time.Second
)

// ReadFrom implements io.ReaderFrom for http.ServeContent, which limits the reader to the
// range that it sends.
func (w fileWriter) ReadFrom(from io.Reader) (sent int64, err error) {
	limited, ok := from.(*io.LimitedReader)
	if !ok {
		return io.Copy(w.Response, from)
	}
	deadlines := http.NewResponseController(w.Response)
	for limited.N > 0 {
		_ = deadlines.SetWriteDeadline(time.Now().Add(fileChunkTime)) // fails only where there is no connection
		// net/http knows a limited file, but not one that is limited twice.
		chunk := &io.LimitedReader{R: limited.R, N: min(limited.N, fileChunk)}
		n, err := io.Copy(w.Writer, chunk)
		sent += n
		limited.N -= n
		w.Size += n
		if err != nil || n == 0 {
			return sent, err
		}
	}
	return sent, nil
}
