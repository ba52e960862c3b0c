package web

import (
	"bytes"
	"fmt"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

// KeepNowhere keeps a page out of every cache, the browser's own among them:
// for addresses, payments and orders.
func KeepNowhere(c echo.Context) {
	c.Response().Header().Set(echo.HeaderCacheControl, "private, no-store")
}

// Render sends a page. Nothing is sent when it cannot be drawn whole. A page
// that says nothing else is its visitor's alone: it shows a cart.
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
