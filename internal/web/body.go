package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

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

// bodyTimeout is the time that a client has to send the request body.
const bodyTimeout = 30 * time.Second

// limitBody bounds the request body: more than limit bytes get status 413, and a
// client that needs longer than timeout gets 408.
func limitBody(limit int64, timeout time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
				return next(c)
			}
			if r.ContentLength > limit {
				return echo.NewHTTPError(http.StatusRequestEntityTooLarge)
			}
			_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(timeout))
			r.Body = timedBody{http.MaxBytesReader(c.Response(), r.Body, limit)}
			return next(c)
		}
	}
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
