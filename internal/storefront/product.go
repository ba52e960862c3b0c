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
	product, err := s.shop.Product(c.Request().Context(), c.Param("slug"))
	if err != nil {
		return err
	}
	form := templates.AddToCartForm{VariantID: firstInStock(product), Quantity: "1"}
	return s.renderProduct(c, http.StatusOK, product, form)
}

func (s *Storefront) renderProduct(c echo.Context, status int, product shop.Product, form templates.AddToCartForm) error {
	related, err := s.shop.Related(c.Request().Context(), product, relatedProducts)
	if err != nil {
		return err
	}
	sale, found, err := s.shop.SaleOfProduct(c.Request().Context(), product.ID)
	if err != nil {
		return err
	}
	if found {
		web.KeepFor(c, saleFresh)
	}
	layout, err := s.layout(c, product.Name, product.Tagline, append(productIDs(related), product.ID)...)
	if err != nil {
		return err
	}
	layout.Live += "&looking=" + strconv.FormatInt(product.ID, 10)
	interest := s.shop.Interest(c.Request().Context(), product.ID)
	return web.Render(c, status, templates.Product(templates.ProductPage{
		Layout: layout, Product: product, Related: related, Form: form, Sale: s.offer(sale, found), Interest: interest,
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
