package storefront

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// Private

func (s *Storefront) showCart(c echo.Context) error {
	cart, err := s.shop.Cart(c.Request().Context(), s.cartID(c))
	if err != nil {
		return err
	}
	return s.renderCart(c, http.StatusOK, cart, nil, nil, s.cartNotice(c, cart))
}

func (s *Storefront) addToCart(c echo.Context) error {
	ctx := c.Request().Context()
	if err := web.ParseForm(c); err != nil {
		return err
	}
	variantID, err := strconv.ParseInt(c.FormValue("variant_id"), 10, 64)
	if err != nil {
		return shop.ErrNotFound
	}
	quantity, problem := parseQuantity(c.FormValue("quantity"))
	if problem == nil {
		var id string
		id, problem = s.shop.AddToCart(ctx, s.cartID(c), variantID, quantity)
		if problem == nil {
			s.cart.Set(c, id)
			return c.Redirect(http.StatusSeeOther, "/cart?added="+strconv.FormatInt(variantID, 10))
		}
	}

	sentence, isProblem := cartProblem(problem)
	if !isProblem {
		return problem
	}
	product, err := s.shop.ProductOfVariant(ctx, variantID)
	if err != nil {
		return err
	}
	form := templates.AddToCartForm{VariantID: variantID, Quantity: c.FormValue("quantity"), Problem: sentence}
	return s.renderProduct(c, http.StatusUnprocessableEntity, product.Slug, form)
}

func (s *Storefront) changeCartLine(c echo.Context) error {
	ctx := c.Request().Context()
	if err := web.ParseForm(c); err != nil {
		return err
	}
	variantID, err := strconv.ParseInt(c.Param("variant"), 10, 64)
	if err != nil {
		return shop.ErrNotFound
	}
	typed := c.FormValue("quantity")
	if c.FormValue("remove") != "" || strings.TrimSpace(typed) == "0" {
		err = s.shop.SetQuantity(ctx, s.cartID(c), variantID, 0)
	} else {
		var quantity int
		if quantity, err = parseQuantity(typed); err == nil {
			err = s.shop.SetQuantity(ctx, s.cartID(c), variantID, quantity)
		}
	}
	if err == nil {
		return c.Redirect(http.StatusSeeOther, "/cart")
	}

	sentence, isProblem := cartProblem(err)
	if !isProblem {
		return err
	}
	cart, err := s.shop.Cart(ctx, s.cartID(c))
	if err != nil {
		return err
	}
	return s.renderCart(c, http.StatusUnprocessableEntity, cart, map[int64]string{variantID: sentence}, map[int64]string{variantID: typed}, "")
}

// renderCart shows the cart. Problems and typed quantities are by variant id; it
// adds a problem for each line that needs more units than are left.
func (s *Storefront) renderCart(c echo.Context, status int, cart shop.Cart, problems, typed map[int64]string, notice string) error {
	if problems == nil {
		problems = map[int64]string{}
	}
	var products []int64
	for _, line := range cart.Lines {
		products = append(products, line.Product.ID)
		if _, known := problems[line.Variant.ID]; !known && line.Short() {
			problems[line.Variant.ID], _ = cartProblem(&shop.ShortError{Name: line.Name(), Left: line.Variant.Stock})
		}
	}
	layout, err := s.layout(c, cart.Units(), "Your cart", "", products...)
	if err != nil {
		return err
	}
	layout.Notice = notice
	return web.Render(c, status, templates.Cart(templates.CartPage{
		Layout: layout, Cart: cart, Problems: problems, Typed: typed, Free: cart.MissingForFreeShipping(),
	}))
}

// cartNotice is a sentence about the last change of the cart, empty for none.
func (s *Storefront) cartNotice(c echo.Context, cart shop.Cart) string {
	if s.cart.Sent(c) && s.cartID(c) == "" {
		s.cart.Clear(c)
		return "Your earlier cart has expired, so this one starts empty."
	}
	if c.QueryParam("limit") != "" {
		return "One person can have only so many of this sale, and you have them already."
	}
	added, held := c.QueryParam("added"), c.QueryParam("held")
	for _, line := range cart.Lines {
		if line.Hold != nil && strconv.FormatInt(line.Hold.SaleID, 10) == held {
			return line.Name() + " is yours at " + line.Price().String() + ", if you buy it in time."
		}
		if line.Hold != nil {
			continue
		}
		if strconv.FormatInt(line.Variant.ID, 10) == added {
			return line.Name() + " is in your cart."
		}
	}
	return ""
}

// parseQuantity reads a number of units as shoppers type it.
func parseQuantity(typed string) (int, error) {
	quantity, err := strconv.Atoi(strings.TrimSpace(typed))
	if err != nil || quantity < 1 || quantity > shop.MaxQuantity {
		return 0, shop.ErrQuantity
	}
	return quantity, nil
}

// cartProblem is a sentence for the shopper about an error of the cart. It returns
// false for any other error.
func cartProblem(err error) (string, bool) {
	var short *shop.ShortError
	switch {
	case errors.As(err, &short) && short.Left == 0:
		return short.Name + " has just sold out.", true
	case errors.As(err, &short):
		return fmt.Sprintf("Only %d of %s left.", short.Left, short.Name), true
	case errors.Is(err, shop.ErrQuantity):
		const sentence = "Please give a whole number from 1 to %d. A cart holds at most %d of one thing."
		return fmt.Sprintf(sentence, shop.MaxQuantity, shop.MaxQuantity), true
	}
	return "", false
}
