package storefront

import (
	"github.com/labstack/echo/v4"

	"slipway/internal/assets"
	"slipway/internal/web"
)

// Routes puts every address of the store in place.
func (s *Storefront) Routes(e *echo.Echo) {
	e.GET("/live", s.streamEvents)
	e.GET(assets.Prefix+"*", echo.WrapHandler(s.assets))

	// Event streams live their own time; a page has to be quick.
	pages := e.Group("", web.Deadline(s.pageTimeout))
	pages.GET("/", s.showHome)
	pages.GET("/categories/:slug", s.showCategory)
	pages.GET("/products/:slug", s.showProduct)
	pages.GET("/search", s.search)
	pages.GET("/pictures/:file", s.showPicture)

	pages.GET("/cart", s.showCart)
	pages.POST("/cart/lines", s.addToCart)
	pages.POST("/cart/lines/:variant", s.changeCartLine)

	pages.GET("/checkout", s.showCheckout)
	pages.POST("/checkout", s.saveContact)
	pages.GET("/checkout/review", s.showReview)
	pages.POST("/orders", s.createOrder)
	pages.GET("/orders/:token", s.showOrder)

	if s.development {
		pages.GET("/dev/mail", s.listMail)
		pages.GET("/dev/mail/:id", s.showMail)
	}
}
