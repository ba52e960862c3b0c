package storefront

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
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

// Sale draws how many units of a flash sale are left.
func (Fragments) Sale(ctx context.Context, sale shop.Sale) (string, error) {
	return draw(ctx, templates.SaleLeft(sale))
}

// Interest draws how much a product is wanted.
func (Fragments) Interest(ctx context.Context, productID int64, interest shop.Interest) (string, error) {
	return draw(ctx, templates.Interest(productID, interest))
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

// streamEvents sends a page the changes of what it follows.
func (s *Storefront) streamEvents(c echo.Context) error {
	if web.IsHead(c) {
		c.Response().Header().Set(echo.HeaderContentType, "text/event-stream")
		web.KeepNowhere(c)
		return c.NoContent(http.StatusOK)
	}
	page := s.follows(c)
	topics := make([]string, 0, len(page.products)+2)
	for _, id := range page.products {
		topics = append(topics, shop.StockTopic(id))
	}
	if page.order != "" {
		topics = append(topics, shop.OrderTopic(page.order))
	}
	if page.cart != "" {
		topics = append(topics, shop.CartTopic(page.cart))
	}
	var opening []string
	if page.looking != 0 {
		interest, err := s.drawInterest(c, page.looking)
		if err != nil {
			return err
		}
		opening = append(opening, interest)
	}
	s.hub.Serve(c.Response(), c.Request(), topics, opening...)
	return nil
}

// showFragments is what a page asks for that gets no events: all its pieces as
// they are now. A page that knows them already is told so in a few bytes.
func (s *Storefront) showFragments(c echo.Context) error {
	page := s.follows(c)
	html, err := s.drawFragments(c, page)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(html))
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	if page.order != "" {
		web.KeepNowhere(c)
	} else {
		c.Response().Header().Set(echo.HeaderCacheControl, "private, no-cache")
	}
	c.Response().Header().Set("ETag", tag)
	if c.Request().Header.Get("If-None-Match") == tag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.HTML(http.StatusOK, html)
}

// followed is what an open page shows of things that change.
type followed struct {
	products []int64
	looking  int64  // the product whose page it is, 0 for other pages
	order    string // token
	cart     string // id, empty for none
}

// follows reads what a page names, and its own shopper's cart, which only the
// cookie can name.
func (s *Storefront) follows(c echo.Context) followed {
	page := followed{order: c.QueryParam("order"), cart: s.cartID(c)}
	for id := range strings.SplitSeq(c.QueryParam("products"), ",") {
		number, err := strconv.ParseInt(id, 10, 64)
		if err == nil && len(page.products) < mostWatched {
			page.products = append(page.products, number)
		}
	}
	// Only of a product that the page shows; anything else is nobody's page.
	looking, err := strconv.ParseInt(c.QueryParam("looking"), 10, 64)
	if err == nil && slices.Contains(page.products, looking) {
		page.looking = looking
	}
	return page
}

func (s *Storefront) drawFragments(c echo.Context, page followed) (string, error) {
	ctx := c.Request().Context()
	products, err := s.shop.Stock(ctx, page.products)
	if err != nil {
		return "", err
	}
	units, err := s.shop.CartUnits(ctx, page.cart)
	if err != nil {
		return "", err
	}
	html, err := Fragments{}.Cart(ctx, units)
	if err != nil {
		return "", err
	}
	for _, product := range products {
		stock, err := Fragments{}.Stock(ctx, product)
		if err != nil {
			return "", err
		}
		html += stock
	}
	sales, err := s.shop.SalesOf(ctx, page.products)
	if err != nil {
		return "", err
	}
	for _, sale := range sales {
		left, err := Fragments{}.Sale(ctx, sale)
		if err != nil {
			return "", err
		}
		html += left
	}
	if page.order != "" {
		order, err := s.shop.Order(ctx, page.order)
		if err != nil {
			return "", err
		}
		state, err := Fragments{}.Order(ctx, order)
		if err != nil {
			return "", err
		}
		html += state
	}
	if page.looking != 0 {
		interest, err := s.drawInterest(c, page.looking)
		if err != nil {
			return "", err
		}
		html += interest
	}
	return html, nil
}

// drawInterest draws the interest in a product, this shopper's included.
func (s *Storefront) drawInterest(c echo.Context, productID int64) (string, error) {
	ctx := c.Request().Context()
	return Fragments{}.Interest(ctx, productID, s.shop.Look(ctx, productID, s.visitor(c)))
}

// visitor tells visitors apart for as long as they are counted, without a
// cookie and without saying who they are: the key is this store's secret, and
// only what it takes to count is stored. Two people with one address and the
// same browser count as one.
func (s *Storefront) visitor(c echo.Context) string {
	mac := hmac.New(sha256.New, s.visitorKey)
	mac.Write([]byte(c.RealIP() + "\n" + c.Request().UserAgent()))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
