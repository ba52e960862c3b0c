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

	"slipway/internal/assets"
	"slipway/internal/live"
	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// maxFollowed is the largest number of products that one page may follow.
const maxFollowed = 64

// Fragments renders the parts of pages that change while they are open.
type Fragments struct{}

// Stock renders the stock of a product and of each of its variants.
func (Fragments) Stock(ctx context.Context, product shop.Product) (string, error) {
	pieces := []templ.Component{templates.CardStock(product.ID, product.Stock())}
	for _, variant := range product.Variants {
		pieces = append(pieces, templates.VariantStock(variant.ID, variant.Stock))
	}
	return renderAll(ctx, pieces...)
}

// Cart renders the badge of a cart.
func (Fragments) Cart(ctx context.Context, units int) (string, error) {
	return renderAll(ctx, templates.CartBadge(units))
}

// Order renders the state of an order.
func (Fragments) Order(ctx context.Context, order shop.Order) (string, error) {
	return renderAll(ctx, templates.OrderState(order.ID, order.State))
}

// Sale renders the number of units left of a flash sale.
func (Fragments) Sale(ctx context.Context, sale shop.Sale) (string, error) {
	return renderAll(ctx, templates.SaleLeft(sale))
}

// Interest renders the interest in a product.
func (Fragments) Interest(ctx context.Context, productID int64, interest shop.Interest) (string, error) {
	return renderAll(ctx, templates.Interest(productID, interest))
}

// Private

func renderAll(ctx context.Context, pieces ...templ.Component) (string, error) {
	var html strings.Builder
	for _, piece := range pieces {
		if err := piece.Render(ctx, &html); err != nil {
			return "", err
		}
	}
	return html.String(), nil
}

// streamEvents streams the changes of everything that a page follows.
func (s *Storefront) streamEvents(c echo.Context) error {
	if web.IsHead(c) {
		c.Response().Header().Set(echo.HeaderContentType, "text/event-stream")
		web.ForbidCaching(c)
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
		interest, err := s.renderInterest(c, page.looking)
		if err != nil {
			return err
		}
		opening = append(opening, interest)
	}
	s.hub.Serve(c.Response(), c.Request(), live.Subscription{Topics: topics, Opening: opening, Outlive: web.Outlive(c)})
	return nil
}

// showFragments replies with all changing parts of a page as they are now. A page
// that gets no events polls it. If nothing has changed, it replies 304.
func (s *Storefront) showFragments(c echo.Context) error {
	page := s.follows(c)
	html, err := s.renderFragments(c, page)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(html))
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	if page.order != "" {
		web.ForbidCaching(c)
	} else {
		c.Response().Header().Set(echo.HeaderCacheControl, "private, no-cache")
	}
	c.Response().Header().Set("ETag", tag)
	if assets.NotModified(c.Request(), tag) {
		return c.NoContent(http.StatusNotModified)
	}
	return c.HTML(http.StatusOK, html)
}

// followed are the things that a page follows.
type followed struct {
	products []int64
	looking  int64  // the product of a product page, 0 for other pages
	order    string // token
	cart     string // id, empty without a cart
}

// follows reads what the query of a page names, and the cart of the cookie: no
// page can name the cart of another shopper.
func (s *Storefront) follows(c echo.Context) followed {
	page := followed{order: c.QueryParam("order"), cart: s.cartID(c)}
	for id := range strings.SplitSeq(c.QueryParam("products"), ",") {
		number, err := strconv.ParseInt(id, 10, 64)
		if err == nil && len(page.products) < maxFollowed {
			page.products = append(page.products, number)
		}
	}
	// The product of looking must be one that the page also follows.
	looking, err := strconv.ParseInt(c.QueryParam("looking"), 10, 64)
	if err == nil && slices.Contains(page.products, looking) {
		page.looking = looking
	}
	return page
}

func (s *Storefront) renderFragments(c echo.Context, page followed) (string, error) {
	ctx := c.Request().Context()
	products, err := s.shop.Stock(ctx, page.products)
	if err != nil {
		return "", err
	}
	reads := s.shop.Reads()
	units, sales := reads.CartUnits(page.cart), reads.SalesOf(page.products)
	if err := reads.Do(ctx); err != nil {
		return "", err
	}
	html, err := Fragments{}.Cart(ctx, *units)
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
	for _, sale := range *sales {
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
		interest, err := s.renderInterest(c, page.looking)
		if err != nil {
			return "", err
		}
		html += interest
	}
	return html, nil
}

// renderInterest counts this visitor and renders the interest in a product.
func (s *Storefront) renderInterest(c echo.Context, productID int64) (string, error) {
	ctx := c.Request().Context()
	return Fragments{}.Interest(ctx, productID, s.shop.Look(ctx, productID, s.visitor(c)))
}

// visitor identifies a visitor for the count of visitors, without a cookie. It is a
// keyed hash of address and browser, so that it reveals neither of them. Two
// visitors with the same address and browser count as one.
func (s *Storefront) visitor(c echo.Context) string {
	mac := hmac.New(sha256.New, s.visitorKey)
	mac.Write([]byte(c.RealIP() + "\n" + c.Request().UserAgent()))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
