package storefront

import (
	"context"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
)

// mostWatched is how many products one page may follow.
const mostWatched = 64

// Fragments draws the pieces of pages that change while they are open.
type Fragments struct{}

// Stock draws the stock of a product and of each of its variants.
func (Fragments) Stock(ctx context.Context, product shop.Product) (string, error) {
	pieces := []templ.Component{templates.CardStock(product.ID, product.Stock())}
	for _, variant := range product.Variants {
		pieces = append(pieces, templates.VariantStock(variant.ID, variant.Stock))
	}
	return draw(ctx, pieces...)
}

// Cart draws the badge of a cart.
func (Fragments) Cart(ctx context.Context, units int) (string, error) {
	return draw(ctx, templates.CartBadge(units))
}

// Order draws how far an order has come.
func (Fragments) Order(ctx context.Context, order shop.Order) (string, error) {
	return draw(ctx, templates.OrderState(order.ID, order.State))
}

// Private

func draw(ctx context.Context, pieces ...templ.Component) (string, error) {
	var html strings.Builder
	for _, piece := range pieces {
		if err := piece.Render(ctx, &html); err != nil {
			return "", err
		}
	}
	return html.String(), nil
}

// streamEvents sends a page the changes of the products and the order that it
// names, and of its own shopper's cart, which only the cookie can name.
func (s *Storefront) streamEvents(c echo.Context) error {
	var topics []string
	for id := range strings.SplitSeq(c.QueryParam("products"), ",") {
		number, err := strconv.ParseInt(id, 10, 64)
		if err == nil && len(topics) < mostWatched {
			topics = append(topics, shop.StockTopic(number))
		}
	}
	if token := c.QueryParam("order"); token != "" {
		topics = append(topics, shop.OrderTopic(token))
	}
	if id := s.cartID(c); id != "" {
		topics = append(topics, shop.CartTopic(id))
	}
	s.hub.Serve(c.Response(), c.Request(), topics)
	return nil
}
