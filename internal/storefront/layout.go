package storefront

import (
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// Private

// layout is the content that all pages share. Units are those in the cart. Watched are
// the ids of the products whose stock the page shows.
func (s *Storefront) layout(c echo.Context, units int, title, description string, watched ...int64) (templates.Layout, error) {
	web.Tag(c, shop.PagesOf(watched...)...)
	c.Response().Header().Set("Speculation-Rules", `"`+speculationPath+`"`)
	categories, err := s.shop.Categories(c.Request().Context())
	if err != nil {
		return templates.Layout{}, err
	}
	layout := s.bareLayout(c, title)
	layout.Description = description
	layout.Canonical = canonical(c)
	layout.Categories = categories
	layout.CartUnits = units
	layout.Live = liveAddress(lastEvent(c), watched)
	if web.IsShared(c) {
		layout.CartUnits = templates.UnknownUnits // a shopper may get it in place of an error
	}
	return layout, nil
}

// cartUnits reads the number of units in the cart, for pages that read nothing else by
// shop.Reads.
func (s *Storefront) cartUnits(c echo.Context) (int, error) {
	reads := s.shop.Reads()
	units := reads.CartUnits(s.cartID(c))
	err := reads.Do(c.Request().Context())
	return *units, err
}

// rememberLastEvent stores the number of the newest event before a handler reads
// anything, so that the stream of the page has every later event.
func (s *Storefront) rememberLastEvent(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set(lastEventKey, s.hub.Last())
		return next(c)
	}
}

const lastEventKey = "last event"

func lastEvent(c echo.Context) int64 {
	number, _ := c.Get(lastEventKey).(int64)
	return number
}

// bareLayout is a layout without cart and categories. It needs no backend.
func (s *Storefront) bareLayout(c echo.Context, title string) templates.Layout {
	layout := s.frame(title)
	layout.Path = c.Request().URL.Path
	return layout
}

// frame is what the layouts of all pages have in common.
func (s *Storefront) frame(title string) templates.Layout {
	layout := templates.Layout{
		Title:       title,
		CartUnits:   templates.UnknownUnits,
		Stylesheet:  s.resource("store.css"),
		Scripts:     []templates.Resource{s.resource("live.js"), s.resource("countdown.js")},
		Icon:        s.assets.Path("icon.svg"),
		Development: s.development,
	}
	if s.development {
		layout.Scripts = append(layout.Scripts, s.resource("development.js"))
	}
	return layout
}

func (s *Storefront) resource(name string) templates.Resource {
	return templates.Resource{Path: s.assets.Path(name), Integrity: s.assets.Integrity(name)}
}

// cartID is the id of the cart of this browser, empty without one.
func (s *Storefront) cartID(c echo.Context) string {
	id, _ := s.cart.Value(c)
	return id
}

// liveAddress is the URL of the event stream of a page that shows the stock of
// products. The stream begins with the event after since.
func liveAddress(since int64, products []int64) string {
	ids := make([]string, len(products))
	for i, id := range products {
		ids[i] = strconv.FormatInt(id, 10)
	}
	// A since of 0 is sent too: then the stream reports whether events were missed.
	return "/live?products=" + strings.Join(ids, ",") + "&since=" + strconv.FormatInt(since, 10)
}

func productIDs(lists ...[]shop.Card) []int64 {
	var ids []int64
	for _, list := range lists {
		for _, card := range list {
			ids = append(ids, card.ID)
		}
	}
	return ids
}
