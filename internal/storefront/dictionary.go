package storefront

import (
	"bytes"
	"context"
	"fmt"

	"github.com/a-h/templ"

	"slipway/internal/shop"
	"slipway/internal/storefront/templates"
)

// Private

// pageDictionary is text that pages have in common: a list and a product, with words that
// stand for those of the catalogue. It is the same in all processes of a build. The front
// page and the cart would add 1.7 KB to what each visitor loads for it, and save less.
func (s *Storefront) pageDictionary() ([]byte, error) {
	var text bytes.Buffer
	for _, page := range s.typicalPages() {
		if err := page.Render(context.Background(), &text); err != nil {
			return nil, fmt.Errorf("render the dictionary of pages: %w", err)
		}
	}
	return text.Bytes(), nil
}

func (s *Storefront) typicalPages() []templ.Component {
	category := shop.Category{ID: 1, Slug: "word", Name: "Word", Tagline: "Word."}
	layout := s.frame("Word")
	layout.Description, layout.Canonical = "Word.", s.baseURL+"/products/word"
	layout.Categories = []shop.Category{category, category}
	layout.Live = liveAddress(1, []int64{1, 2})

	card := shop.Card{ID: 1, Slug: "word", Name: "Word", Tagline: "Word.", Picture: "word", From: shop.Euros(1200), Varies: true, Stock: 99}
	last, gone := card, card
	last.Stock, last.Varies = 3, false
	gone.Stock = 0
	cards := []shop.Card{gone, last, card, card}
	product := shop.Product{
		ID: 1, Slug: "word", Name: "Word", Tagline: "Word.", Description: "Word.\n\nWord.", Details: []string{"Word", "Word"},
		Picture: "word", Category: category, Variants: []shop.Variant{
			{ID: 1, Name: "Word", Price: shop.Euros(1200)}, {ID: 2, Name: "Word", Price: shop.Euros(1200), Stock: 3},
			{ID: 3, Name: "Word", Price: shop.Euros(1200), Stock: 99},
		},
	}
	return []templ.Component{
		templates.Category(templates.CategoryPage{
			Layout: layout, Category: category, Listing: shop.Listing{Cards: cards, Sort: shop.SortFeatured, Page: 1, Pages: 2, Total: 9},
		}),
		templates.Product(templates.ProductPage{
			Layout: layout, Product: product, Related: cards, Form: templates.AddToCartForm{VariantID: 3, Quantity: "1"},
		}),
	}
}
