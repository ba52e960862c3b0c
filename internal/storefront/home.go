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
	reads := s.shop.Reads()
	front, sale := reads.FrontPage(ctx, shop.FeaturedInFront, shop.NewestInFront), reads.FrontSale()
	units := reads.CartUnits(s.cartID(c))
	if err := reads.Do(ctx); err != nil {
		return err
	}
	web.Tag(c, shop.SalePages)
	if sale.ID != 0 {
		web.KeepFor(c, saleFresh)
	}
	offer := s.offer(*sale)
	watched := append(productIDs(front.Featured, front.Newest), soldOn(offer)...)
	layout, err := s.layout(c, *units, "Leeward", "Things for the shore and the way there.", watched...)
	if err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, templates.Home(templates.HomePage{
		Layout: layout, Featured: front.Featured, Newest: front.Newest, Sale: offer,
	}))
}
