package storefront

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// Private

// speculationPath is named by the header Speculation-Rules of pages.
const speculationPath = "/speculation-rules.json"

// speculationRules let a browser fetch a page of the catalogue while the pointer is on
// its link. Pages of one shopper are not among them, nor those that cost a search, and
// nothing is prerendered, because scripts of a page that nobody sees would count as a
// visitor.
const speculationRules = `{
  "prefetch": [{
    "where": {"href_matches": ["/", "/categories/*", "/products/*"]},
    "eagerness": "moderate"
  }]
}
`

// showSpeculationRules serves the rules (WHATWG HTML, section 7.6).
func (s *Storefront) showSpeculationRules(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=3600")
	return c.Blob(http.StatusOK, "application/speculationrules+json", []byte(speculationRules))
}
