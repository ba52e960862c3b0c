package storefront

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
	"slipway/internal/web"
)

// relatedProducts is the number of related products on the page of a product.
const relatedProducts = 4

// Private

func (s *Storefront) showProduct(c echo.Context) error {
	return s.renderProduct(c, http.StatusOK, c.Param("slug"), templates.AddToCartForm{Quantity: "1"})
}

// renderProduct shows a product. The form chooses the first variant in stock unless it
// has one.
func (s *Storefront) renderProduct(c echo.Context, status int, slug string, form templates.AddToCartForm) error {
	ctx := c.Request().Context()
	reads := s.shop.Reads()
	product, related := reads.Product(slug), reads.Related(ctx, slug, relatedProducts)
	sale, units := reads.SaleOf(product, slug), reads.CartUnits(s.cartID(c))
	if err := reads.Do(ctx); err != nil {
		return err
	}
	if sale.ID != 0 {
		web.KeepFor(c, saleFresh)
	}
	if form.VariantID == 0 {
		form.VariantID = firstInStock(*product)
	}
	layout, err := s.layout(c, *units, product.Name, product.Tagline, append(productIDs(*related), product.ID)...)
	if err != nil {
		return err
	}
	layout.Live += "&looking=" + strconv.FormatInt(product.ID, 10)
	interest := s.shop.Interest(ctx, product.ID)
	return web.Render(c, status, templates.Product(templates.ProductPage{
		Layout: layout, Product: *product, Related: *related, Form: form, Sale: s.offer(*sale), Interest: interest,
	}))
}

// showPicture serves a picture. The content of a name never changes.
func (s *Storefront) showPicture(c echo.Context) error {
	key, isSVG := strings.CutSuffix(c.Param("file"), ".svg")
	if !isSVG {
		return shop.ErrNotFound
	}
	svg, err := s.shop.Picture(c.Request().Context(), key)
	if err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	// An SVG document must not run scripts, even when it is opened on its own.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	return c.Blob(http.StatusOK, "image/svg+xml", []byte(svg))
}

func firstInStock(product shop.Product) int64 {
	for _, variant := range product.Variants {
		if variant.Stock > 0 {
			return variant.ID
		}
	}
	return product.Variants[0].ID
}
