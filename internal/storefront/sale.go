package storefront

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// Private

// holdSaleUnit puts a unit of a flash sale into the cart. A browser without a
// cart gets one first and asks again with it: so two clicks, each of which came
// without a cart, do not hold a unit each.
func (s *Storefront) holdSaleUnit(c echo.Context) error {
	if err := c.Request().ParseForm(); err != nil {
		return unreadableForm(err)
	}
	saleID, err := strconv.ParseInt(c.Param("sale"), 10, 64)
	if err != nil {
		return shop.ErrNotFound
	}
	if s.cartID(c) == "" {
		if c.QueryParam("cart") != "" {
			return s.renderCartCookie(c)
		}
		s.cart.Set(c, uuid.NewString())
		return c.Redirect(http.StatusTemporaryRedirect, "/sales/"+strconv.FormatInt(saleID, 10)+"/holds?cart=new")
	}

	err = s.shop.HoldSaleUnit(c.Request().Context(), s.cartID(c), saleID, c.FormValue("claim_id"))
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, "/cart?held="+strconv.FormatInt(saleID, 10))
	case errors.Is(err, shop.ErrSaleLimit):
		return c.Redirect(http.StatusSeeOther, "/cart?limit="+strconv.FormatInt(saleID, 10))
	case errors.Is(err, shop.ErrSaleSoldOut), errors.Is(err, shop.ErrSaleClosed):
		return s.renderSaleGone(c, errors.Is(err, shop.ErrSaleClosed))
	default:
		return err
	}
}

func (s *Storefront) giveBackHold(c echo.Context) error {
	if err := s.shop.GiveBackHold(c.Request().Context(), s.cartID(c), c.Param("claim")); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/cart")
}

// renderSaleGone answers those who came too late, who are the most: without
// asking anybody else anything.
func (s *Storefront) renderSaleGone(c echo.Context, over bool) error {
	layout := s.bareLayout(c, "Somebody was quicker")
	web.KeepNowhere(c)
	return web.Render(c, http.StatusConflict, templates.SaleGone(templates.SaleGonePage{Layout: layout, Over: over}))
}

func (s *Storefront) renderCartCookie(c echo.Context) error {
	page := templates.ErrorPage{
		Layout: s.bareLayout(c, "No cart to hold it"), Status: http.StatusUnprocessableEntity, Heading: "No cart to hold it",
		Detail: "Your browser does not keep the cookie that is your cart. Please allow cookies for this store and try again.",
	}
	web.KeepNowhere(c)
	return web.Render(c, http.StatusUnprocessableEntity, templates.Error(page))
}

// offer is a sale as pages show it, nil when there is none.
func (s *Storefront) offer(sale shop.Sale, found bool) *templates.SaleOffer {
	if !found {
		return nil
	}
	return &templates.SaleOffer{Sale: sale, ClaimID: uuid.NewString(), PerCart: s.saleLimit, HeldFor: s.saleHold}
}

// soldOn are the products that a page with an offer follows because of it.
func soldOn(offer *templates.SaleOffer) []int64 {
	if offer == nil {
		return nil
	}
	return []int64{offer.Product.ID}
}
