package storefront

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"slipway/internal/payment"
	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

// freshFor is how long the page of a new order shows a thank-you.
const freshFor = 3 * time.Minute

// Private

func (s *Storefront) createOrder(c echo.Context) error {
	if err := web.ParseForm(c); err != nil {
		return err
	}
	purchase := shop.Purchase{
		CartID:      s.cartID(c),
		CheckoutKey: c.FormValue("checkout_key"),
		Reviewed:    c.FormValue("reviewed"),
		Card:        c.FormValue("card"),
	}
	order, err := s.shop.PlaceOrder(c.Request().Context(), purchase)
	if err != nil {
		return s.refuseOrder(c, purchase, err)
	}
	return c.Redirect(http.StatusSeeOther, "/orders/"+order.Token)
}

// refuseOrder shows why the order was not placed, on the page where the shopper
// can correct it.
func (s *Storefront) refuseOrder(c echo.Context, purchase shop.Purchase, err error) error {
	again := review{Key: uuid.NewString(), Card: purchase.Card}
	var problems shop.ContactProblems
	var tooMany *shop.TooManyOrdersError
	switch {
	case errors.Is(err, payment.ErrDeclined):
		throttle.Note(c.Request().Context(), cardDeclined)
		again.Problem = "The card was declined. Nothing was charged and your cart is as it was. Please try another card."
		return s.renderReview(c, http.StatusUnprocessableEntity, again)
	case errors.Is(err, payment.ErrCard):
		again.Card = ""
		again.Problem = "This is not a card that we can charge. Please choose one of the cards below."
		return s.renderReview(c, http.StatusUnprocessableEntity, again)
	case errors.Is(err, payment.ErrUnconfirmed):
		// With the same key, an authorization that the gateway did make is reused.
		again.Key = purchase.CheckoutKey
		again.Problem = "The payment provider did not answer in time. There is no order yet. " +
			"You can safely try again: you will not be charged twice."
		return s.renderReview(c, http.StatusGatewayTimeout, again)
	case errors.Is(err, shop.ErrCheckoutKey):
		again.Problem = "This form could not be used any more, so we made a new one. Nothing was charged. Please check it and pay again."
		return s.renderReview(c, http.StatusUnprocessableEntity, again)
	case errors.Is(err, shop.ErrCartChanged):
		again.Problem = "Your cart or address has changed since you saw this page. Nothing was charged. Please check it and pay again."
		return s.renderReview(c, http.StatusConflict, again)
	case errors.As(err, &tooMany):
		wait := max(tooMany.RetryAfter, time.Second)
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		again.Problem = "You have ordered several times in a short while, and we take only so many orders from one person. " +
			"Nothing was charged and your cart is as it was. Please place this order " + inWords(wait) + "."
		return s.renderReview(c, http.StatusTooManyRequests, again)
	case errors.Is(err, shop.ErrSoldOut):
		return s.renderReview(c, http.StatusConflict, again) // shows the cart with what is short
	case errors.Is(err, shop.ErrCartEmpty):
		return c.Redirect(http.StatusSeeOther, "/cart")
	case errors.As(err, &problems):
		return c.Redirect(http.StatusSeeOther, "/checkout")
	default:
		return err
	}
}

func (s *Storefront) showOrder(c echo.Context) error {
	order, err := s.shop.Order(c.Request().Context(), c.Param("token"))
	if err != nil {
		return err
	}
	units, err := s.cartUnits(c)
	if err != nil {
		return err
	}
	layout, err := s.layout(c, units, "Order "+order.Number, "")
	if err != nil {
		return err
	}
	layout.Live += "&order=" + order.Token
	web.ForbidCaching(c)
	return web.Render(c, http.StatusOK, templates.Order(templates.OrderPage{
		Layout: layout, Order: order, Fresh: time.Since(order.PlacedAt) < freshFor,
	}))
}

// inWords is a wait in words for the shopper, rounded up.
func inWords(wait time.Duration) string {
	switch minutes := int(math.Ceil(wait.Minutes())); {
	case minutes <= 1:
		return "in a minute"
	case minutes < 120:
		return fmt.Sprintf("in %d minutes", minutes)
	default:
		return fmt.Sprintf("in %d hours", int(math.Ceil(wait.Hours())))
	}
}
