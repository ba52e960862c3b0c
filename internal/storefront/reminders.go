package storefront

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// CrossOriginRoutes are the routes to which other sites may post: a mail program
// ends reminders with a request of its own (RFC 8058). The token in the path is
// the permission.
func (*Storefront) CrossOriginRoutes() []string { return []string{"POST /reminders/{token}"} }

// Private

// showReminders changes nothing, because mail programs open links to check them.
func (s *Storefront) showReminders(c echo.Context) error {
	ended, err := s.shop.RemindersEnded(c.Request().Context(), c.Param("token"))
	if err != nil {
		return err
	}
	return s.renderReminders(c, ended)
}

// endReminders answers without a redirect, which mail providers do not follow. It
// ignores the form, so that the button of the page and a mail program do the same.
func (s *Storefront) endReminders(c echo.Context) error {
	if err := s.shop.EndReminders(c.Request().Context(), c.Param("token")); err != nil {
		return err
	}
	return s.renderReminders(c, true)
}

func (s *Storefront) renderReminders(c echo.Context, ended bool) error {
	units, err := s.cartUnits(c)
	if err != nil {
		return err
	}
	layout, err := s.layout(c, units, "Reminders", "")
	if err != nil {
		return err
	}
	c.Response().Header().Set("X-Robots-Tag", "noindex")
	web.ForbidCaching(c)
	return web.Render(c, http.StatusOK, templates.Reminders(templates.RemindersPage{
		Layout: layout, Token: c.Param("token"), Ended: ended,
	}))
}
