package storefront

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// Private

func (s *Storefront) showHome(c echo.Context) error {
	ctx := c.Request().Context()
	featured, newest, err := s.shop.FrontPage(ctx, shop.FeaturedInFront, shop.NewestInFront)
	if err != nil {
		return err
	}
	sale, found, err := s.shop.FrontSale(ctx)
	if err != nil {
		return err
	}
	web.Tag(c, shop.SalePages)
	if found {
		web.KeepFor(c, saleFresh)
	}
	offer := s.offer(sale, found)
	layout, err := s.layout(c, "Leeward", "Things for the shore and the way there.", append(productIDs(featured, newest), soldOn(offer)...)...)
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, templates.Home(templates.HomePage{Layout: layout, Featured: featured, Newest: newest, Sale: offer}))
}
