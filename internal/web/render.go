package web

import (
	"bytes"
	"fmt"

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
	var body bytes.Buffer
	if err := page.Render(c.Request().Context(), &body); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	return c.HTMLBlob(status, body.Bytes())
}
