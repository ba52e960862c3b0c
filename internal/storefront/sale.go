package storefront

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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

// holdSaleUnit puts a unit of a flash sale into the cart. A browser without a cart
// first gets one and is redirected to the same form: otherwise two clicks would
// make two carts with a unit each.
func (s *Storefront) holdSaleUnit(c echo.Context) error {
	if err := web.ParseForm(c); err != nil {
		return err
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

	err = s.shop.HoldSaleUnit(c.Request().Context(), shop.Claim{
		ID: c.FormValue("claim_id"), CartID: s.cartID(c), SaleID: saleID, Holder: s.holder(c),
	})
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, "/cart?held="+strconv.FormatInt(saleID, 10))
	case errors.Is(err, shop.ErrSaleLimit):
		return c.Redirect(http.StatusSeeOther, "/cart?limit="+strconv.FormatInt(saleID, 10))
	case errors.Is(err, shop.ErrSaleAddressLimit):
		return s.renderAddressLimit(c)
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

// renderSaleGone replies to shoppers who came too late. They are the majority, so
// it uses no backend.
func (s *Storefront) renderSaleGone(c echo.Context, over bool) error {
	layout := s.bareLayout(c, "Somebody was quicker")
	web.ForbidCaching(c)
	return web.Render(c, http.StatusConflict, templates.SaleGone(templates.SaleGonePage{Layout: layout, Over: over}))
}

// renderAddressLimit replies when carts of the same address hold enough unpaid units.
func (s *Storefront) renderAddressLimit(c echo.Context) error {
	page := templates.ErrorPage{
		Layout: s.bareLayout(c, "Enough for one address"), Status: http.StatusTooManyRequests, Heading: "Enough for one address",
		Detail: "Carts at your network address already hold as many units of this sale as we keep for one address until they are paid. " +
			"Please try again when one of them is bought or given back.",
	}
	web.ForbidCaching(c)
	return web.Render(c, http.StatusTooManyRequests, templates.Error(page))
}

// holder stands for the client's address in the holds of sales: a keyed hash, so
// that no address is stored. It is empty for a client that is not limited.
func (s *Storefront) holder(c echo.Context) string {
	client := web.LimitedClient(c)
	if client == "" {
		return ""
	}
	mac := hmac.New(sha256.New, s.visitorKey)
	mac.Write([]byte("holder\n" + client))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (s *Storefront) renderCartCookie(c echo.Context) error {
	page := templates.ErrorPage{
		Layout: s.bareLayout(c, "No cart to hold it"), Status: http.StatusUnprocessableEntity, Heading: "No cart to hold it",
		Detail: "Your browser does not keep the cookie that is your cart. Please allow cookies for this store and try again.",
	}
	web.ForbidCaching(c)
	return web.Render(c, http.StatusUnprocessableEntity, templates.Error(page))
}

// offer is a sale as pages show it, nil without one.
func (s *Storefront) offer(sale shop.Sale) *templates.SaleOffer {
	if sale.ID == 0 {
		return nil
	}
	return &templates.SaleOffer{Sale: sale, ClaimID: uuid.NewString(), PerCart: s.saleLimit, HeldFor: s.saleHold}
}

// soldOn are the ids of the products that a page must follow for its offer.
func soldOn(offer *templates.SaleOffer) []int64 {
	if offer == nil {
		return nil
	}
	return []int64{offer.Product.ID}
}
