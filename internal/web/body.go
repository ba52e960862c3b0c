package web

import (
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/labstack/echo/v4"
)

// ParseForm reads the form of a request, for FormValue. The status of its error is
// 413 for a form that is too large, 408 for one that is sent too slowly, and 400 for
// one that cannot be decoded.
func ParseForm(c echo.Context) error {
	err := c.Request().ParseForm()
	var tooLarge *http.MaxBytesError
	var slow *echo.HTTPError
	if err == nil || errors.As(err, &tooLarge) || errors.As(err, &slow) {
		return err
	}
	return echo.NewHTTPError(http.StatusBadRequest).SetInternal(err)
}

// Private

// limitBody bounds the request body: more than limit bytes get status 413, and a
// client that sends it too slowly for package connection gets 408.
func limitBody(limit int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if !hasBody(r) {
				return next(c)
			}
			if r.ContentLength > limit {
				return echo.NewHTTPError(http.StatusRequestEntityTooLarge)
			}
			r.Body = timedBody{http.MaxBytesReader(c.Response(), r.Body, limit)}
			return next(c)
		}
	}
}

func hasBody(r *http.Request) bool {
	return r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody
}

// timedBody returns status 408 for a read past the deadline. Without it, a slow
// client would look like a backend's timeout, which is status 503.
type timedBody struct{ io.ReadCloser }

func (b timedBody) Read(buffer []byte) (int, error) {
	n, err := b.ReadCloser.Read(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = echo.NewHTTPError(http.StatusRequestTimeout).SetInternal(err)
	}
	return n, err
}
