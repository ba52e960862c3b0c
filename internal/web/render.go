package web

import (
	"bytes"
	"fmt"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

// Render sends a page. Nothing is sent when it cannot be drawn whole.
func Render(c echo.Context, status int, page templ.Component) error {
	var body bytes.Buffer
	if err := page.Render(c.Request().Context(), &body); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	return c.HTMLBlob(status, body.Bytes())
}
