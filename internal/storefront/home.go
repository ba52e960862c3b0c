package storefront

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// How many products the front page shows.
const (
	featuredOnHome = 8
	newestOnHome   = 4
)

// Private

func (s *Storefront) showHome(c echo.Context) error {
	ctx := c.Request().Context()
	featured, err := s.shop.Featured(ctx, featuredOnHome)
	if err != nil {
		return err
	}
	newest, err := s.shop.Newest(ctx, newestOnHome, featuredOnHome)
	if err != nil {
		return err
	}
	layout, err := s.layout(c, "Leeward", "Things for the shore and the way there.", productIDs(featured, newest)...)
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, templates.Home(templates.HomePage{Layout: layout, Featured: featured, Newest: newest}))
}
