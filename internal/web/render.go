package web

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

// ForbidCaching forbids every cache, the browser's included, to store the page.
// Use it for pages with personal data.
func ForbidCaching(c echo.Context) {
	c.Response().Header().Set(echo.HeaderCacheControl, "private, no-store")
}

// Render sends a page, or nothing when rendering fails. A page without its own
// Cache-Control header gets "private, no-cache": it may depend on the visitor.
func Render(c echo.Context, status int, page templ.Component) error {
	if header := c.Response().Header(); header.Get(echo.HeaderCacheControl) == "" {
		header.Set(echo.HeaderCacheControl, "private, no-cache")
	}
	body := buffers.Get().(*bytes.Buffer)
	defer giveBack(body)
	if err := page.Render(c.Request().Context(), body); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(body.Len())) // else net/http sends chunks, and the end on its own
	return c.HTMLBlob(status, body.Bytes())
}

// Private

// buffers are of pages that were sent, so that the next ones need not grow their own.
var buffers = sync.Pool{New: func() any { return &bytes.Buffer{} }}

// largestBuffer bounds the memory that one exceptionally long page keeps, in bytes.
const largestBuffer = 256 << 10

func giveBack(buffer *bytes.Buffer) {
	if buffer.Cap() <= largestBuffer {
		buffer.Reset()
		buffers.Put(buffer)
	}
}
