package storefront

import (
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/assets"
	"slipway/internal/web"
)

// Routes registers all routes of the store.
func (s *Storefront) Routes(e *echo.Echo) {
	e.GET("/live", s.streamEvents) // without web.Deadline: a stream has its own lifetime
	e.GET("/robots.txt", s.showRobots)
	e.GET(speculationPath, s.showSpeculationRules)

	// Each route gets its middleware by itself: a group with middleware would also
	// handle all unknown paths.
	deadline := web.Deadline(s.pageTimeout)
	page := []echo.MiddlewareFunc{deadline, notIndexed, web.RetryRead, s.rememberLastEvent}
	public := []echo.MiddlewareFunc{deadline, s.indexed(nil), web.RetryRead, s.rememberLastEvent}
	shared := slices.Concat([]echo.MiddlewareFunc{web.Share(catalogue)}, public)
	listing := []echo.MiddlewareFunc{
		web.Share(catalogue.Of("page", "sort", "after")),
		deadline, s.indexed(canonicalListing), web.RetryRead, s.rememberLastEvent,
	}
	e.GET("/", s.showHome, shared...)
	e.GET("/categories/:slug", s.showCategory, listing...)
	e.GET("/products/:slug", s.showProduct, shared...)
	e.GET("/search", s.search, page...)
	e.GET("/pictures/:file", s.showPicture, public...)
	e.GET("/sitemap.xml", s.showSitemap, public...)
	e.GET("/live/fragments", s.showFragments, page...)

	e.GET("/cart", s.showCart, page...)
	e.POST("/cart/lines", s.addToCart, page...)
	e.POST("/cart/lines/:variant", s.changeCartLine, page...)

	e.POST("/sales/:sale/holds", s.holdSaleUnit, page...)
	e.POST("/cart/holds/:claim", s.giveBackHold, page...)

	e.GET("/checkout", s.showCheckout, page...)
	e.POST("/checkout", s.saveContact, page...)
	e.GET("/checkout/review", s.showReview, page...)
	e.POST("/orders", s.createOrder, page...)
	e.GET("/orders/:token", s.showOrder, page...)

	e.GET("/reminders/:token", s.showReminders, page...)
	e.POST("/reminders/:token", s.endReminders, page...)

	if s.development {
		e.GET("/dev/mail", s.listMail, page...)
		e.GET("/dev/mail/:id", s.showMail, page...)
		e.GET("/dev/mail/:id/file", s.downloadMail, page...)
	}
}

// Assets are the style sheet, the scripts and the icon of all pages.
func (s *Storefront) Assets() *assets.Assets { return s.assets }

// PrivateCookies make a visitor a shopper, whose pages nobody else gets.
func (s *Storefront) PrivateCookies() []string { return []string{cartCookie} }

// Private

// catalogue is what the edge keeps of the pages of the catalogue, for visitors without
// a cart: a change of a product, its stock or its price makes them stale at once, by
// the triggers of the shop. A minute bounds the age of what no trigger sees.
var catalogue = web.Sharing{Fresh: time.Minute, WhileRenewed: 30 * time.Second}

// saleFresh is for how long they see the same copy of a page with a flash sale, whose
// units go by the second.
const saleFresh = time.Second
