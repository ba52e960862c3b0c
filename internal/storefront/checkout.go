package storefront

import (
	"errors"
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"slipway/internal/payment"
	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// Private

func (s *Storefront) showCheckout(c echo.Context) error {
	contact, err := s.shop.Contact(c.Request().Context(), s.cartID(c))
	if err != nil {
		return err
	}
	return s.renderCheckout(c, http.StatusOK, contact, nil)
}

func (s *Storefront) saveContact(c echo.Context) error {
	if err := web.ParseForm(c); err != nil {
		return err
	}
	contact := shop.Contact{
		Email:      c.FormValue("email"),
		Name:       c.FormValue("name"),
		Street:     c.FormValue("street"),
		PostalCode: c.FormValue("postal_code"),
		City:       c.FormValue("city"),
		Country:    c.FormValue("country"),
		Note:       c.FormValue("note"),
		RemindMe:   c.FormValue("remind_me") != "",
	}
	err := s.shop.SaveContact(c.Request().Context(), s.cartID(c), contact)

	var problems shop.ContactProblems
	switch {
	case err == nil:
		return c.Redirect(http.StatusSeeOther, "/checkout/review")
	case errors.As(err, &problems):
		return s.renderCheckout(c, http.StatusUnprocessableEntity, contact, problems)
	case errors.Is(err, shop.ErrNotFound):
		return c.Redirect(http.StatusSeeOther, "/cart")
	default:
		return err
	}
}

func (s *Storefront) renderCheckout(c echo.Context, status int, contact shop.Contact, problems shop.ContactProblems) error {
	cart, err := s.shop.Cart(c.Request().Context(), s.cartID(c))
	if err != nil {
		return err
	}
	if len(cart.Lines) == 0 {
		return c.Redirect(http.StatusSeeOther, "/cart")
	}
	layout, err := s.layout(c, cart.Units(), "Checkout", "")
	if err != nil {
		return err
	}
	web.ForbidCaching(c)
	return web.Render(c, status, templates.Checkout(templates.CheckoutPage{
		Layout: layout, Cart: cart, Contact: contact, Problems: problems, Countries: shop.Countries,
	}))
}

func (s *Storefront) showReview(c echo.Context) error {
	return s.renderReview(c, http.StatusOK, review{Key: uuid.NewString()})
}

// review is the state of the payment form.
type review struct {
	Key     string // idempotency key of the order
	Card    string // the chosen card; empty: the first
	Problem string
}

// renderReview shows what will be bought. If the cart or the contact is incomplete,
// it shows or redirects to that page.
func (s *Storefront) renderReview(c echo.Context, status int, review review) error {
	ctx := c.Request().Context()
	cart, err := s.shop.Cart(ctx, s.cartID(c))
	if err != nil {
		return err
	}
	if len(cart.Lines) == 0 {
		return c.Redirect(http.StatusSeeOther, "/cart")
	}
	for _, line := range cart.Lines {
		if line.Short() {
			return s.renderCart(c, http.StatusConflict, cart, nil, nil, "Somebody was quicker. Please have another look at your cart.")
		}
	}
	contact, err := s.shop.Contact(ctx, s.cartID(c))
	if err != nil {
		return err
	}
	if contact.Problems() != nil {
		return c.Redirect(http.StatusSeeOther, "/checkout")
	}
	layout, err := s.layout(c, cart.Units(), "Review and pay", "")
	if err != nil {
		return err
	}
	web.ForbidCaching(c)
	if review.Card == "" {
		review.Card = s.cards[0].Number
	}
	return web.Render(c, status, templates.Review(templates.ReviewPage{
		Layout: layout, Cart: cart, Contact: contact, Cards: testCards(s.cards), Card: review.Card,
		Problem: review.Problem, CheckoutKey: review.Key, Reviewed: shop.Review(cart, contact),
	}))
}

func testCards(known []payment.TestCard) []templates.TestCard {
	cards := make([]templates.TestCard, len(known))
	for i, card := range known {
		cards[i] = templates.TestCard{Number: card.Number, Says: card.Outcome}
	}
	return cards
}
