package templates

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"slipway/internal/shop"
)

func TestPages_HaveOneHeading(t *testing.T) {
	t.Parallel()

	for name, page := range newPages("plain") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			headings := elements(render(t, page), "h1")

			require.Len(t, headings, 1)
			require.NotEmpty(t, strings.TrimSpace(text(headings[0])))
		})
	}
}

func TestSearch_SaysNothingFoundOnlyWhenAllProductsWereLookedAt(t *testing.T) {
	t.Parallel()
	page := SearchPage{Layout: Layout{Query: "man"}, Listing: shop.Listing{Page: 1, Pages: 1, Last: true}}

	require.Contains(t, text(render(t, Search(page))), "Nothing found.")
	page.Listing.More = true
	require.NotContains(t, text(render(t, Search(page))), "Nothing found.")
	require.Contains(t, text(render(t, Search(page))), "Too many products have words like these")
}

func TestCategory_LinksToTheNextPageFromOneWithoutProductsForSale(t *testing.T) {
	t.Parallel()
	page := CategoryPage{Category: shop.Category{Slug: "deck"}, Listing: shop.Listing{Page: 1, Pages: 2, Total: 13}}
	document := render(t, Category(page))

	require.NotContains(t, text(document), "This shelf is empty")
	require.True(t, slices.ContainsFunc(elements(document, "a"), func(link *html.Node) bool { return attribute(link, "rel") == "next" }))
	page.Listing = shop.Listing{Page: 1, Pages: 1, Last: true}
	require.Contains(t, text(render(t, Category(page))), "This shelf is empty")
}

func TestPages_EscapeHostileText(t *testing.T) {
	t.Parallel()
	const hostile = `"'></textarea></title><script>alert(1)</script><img src=x onerror=alert(1)>`

	for name, page := range newPages(hostile) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			document := render(t, page)

			scripts := elements(document, "script")
			require.Len(t, scripts, 1)
			require.Equal(t, "/assets/store.js", attribute(scripts[0], "src"))
			require.Equal(t, "sha384-script", attribute(scripts[0], "integrity"))
			for _, image := range elements(document, "img") {
				require.True(t, strings.HasPrefix(attribute(image, "src"), "/pictures/"))
			}
			require.Contains(t, text(elements(document, "title")[0]), hostile)
		})
	}
}

func TestPages_KeepToTheContentSecurityPolicy(t *testing.T) {
	t.Parallel()

	for name, page := range newPages("plain") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			document := render(t, page)

			require.Empty(t, elements(document, "style"))
			for _, script := range elements(document, "script") {
				require.Nil(t, script.FirstChild)
			}
			walk(document, func(node *html.Node) {
				for _, each := range node.Attr {
					require.NotEqual(t, "style", each.Key)
					require.False(t, strings.HasPrefix(each.Key, "on"), each.Key)
				}
			})
		})
	}
}

func TestPages_UseAnIDOnce(t *testing.T) {
	t.Parallel()

	for name, page := range newPages("plain") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}

			walk(render(t, page), func(node *html.Node) {
				if id := attribute(node, "id"); id != "" {
					require.False(t, seen[id], id)
					seen[id] = true
				}
			})
		})
	}
}

func TestPages_TieLabelsAndDescriptionsToElements(t *testing.T) {
	t.Parallel()

	for name, page := range newPages("plain") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document := render(t, page)

			walk(document, func(node *html.Node) {
				for _, name := range []string{"for", "aria-labelledby", "aria-describedby"} {
					for id := range strings.FieldsSeq(attribute(node, name)) {
						require.NotNil(t, byID(document, id), "%s=%q", name, id)
					}
				}
				if target, found := strings.CutPrefix(attribute(node, "href"), "#"); found {
					require.NotNil(t, byID(document, target), target)
				}
			})
		})
	}
}

func TestLiveFragments_CanBeReplacedByID(t *testing.T) {
	t.Parallel()

	fragments := map[string]templ.Component{
		"cart-badge":      CartBadge(0),
		"card-stock-7":    CardStock(7, 40),
		"variant-stock-8": VariantStock(8, 3),
		"order-state-9":   OrderState(9, shop.OrderPaid),
		"sale-left-10":    SaleLeft(shop.Sale{ID: 10, State: shop.SaleOpen}),
	}

	for id, fragment := range fragments {
		root := byID(render(t, fragment), id)

		require.NotNil(t, root, id)
		require.Equal(t, "body", root.Parent.Data)
		require.True(t, hasAttribute(root, "data-live-fragment"))
	}
}

func TestPages_MarkEveryLiveElement(t *testing.T) {
	t.Parallel()

	for name, page := range newPages("plain") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			document := render(t, page)

			require.NotNil(t, byID(document, "cart-badge"))
			require.Equal(t, "/live", attribute(elements(document, "body")[0], "data-live"))
			walk(document, func(node *html.Node) {
				if hasAttribute(node, "data-live-fragment") {
					require.NotEmpty(t, attribute(node, "id"))
				}
			})
		})
	}
}

func TestCardStock_SpeaksOfScarceProductsOnly(t *testing.T) {
	t.Parallel()

	require.Equal(t, "Sold out", strings.TrimSpace(text(render(t, CardStock(1, 0)))))
	require.Equal(t, "Only 5 left", strings.TrimSpace(text(render(t, CardStock(1, 5)))))
	require.Empty(t, strings.TrimSpace(text(render(t, CardStock(1, 6)))))
	require.Equal(t, "In stock", strings.TrimSpace(text(render(t, VariantStock(1, 6)))))
}

func TestForms_HaveTheFieldsThatHandlersRead(t *testing.T) {
	t.Parallel()

	pages := newPages("plain")
	want := []struct {
		page, action, method string
		fields               []string
	}{
		{"home", "/search", "get", []string{"q"}},
		{"category", "/categories/plain", "get", []string{"sort"}},
		{"search", "/search", "get", []string{"q", "sort"}},
		{"product", "/cart/lines", "post", []string{"quantity", "variant_id"}},
		{"product with one variant", "/cart/lines", "post", []string{"quantity", "variant_id"}},
		{"cart", "/cart/lines/101", "post", []string{"quantity", "remove"}},
		{"home with a sale", "/sales/7/holds", "post", []string{"claim_id"}},
		{"product with a sale", "/sales/7/holds", "post", []string{"claim_id"}},
		{"cart with a hold", "/cart/holds/c", "post", []string{"remove"}},
		{"checkout", "/checkout", "post", []string{"city", "country", "email", "name", "note", "postal_code", "remind_me", "street"}},
		{"review", "/orders", "post", []string{"card", "checkout_key", "reviewed"}},
		{"reminders", "/reminders/t", "post", nil},
	}

	for _, each := range want {
		t.Run(each.page, func(t *testing.T) {
			t.Parallel()
			document := render(t, pages[each.page])

			forms := slices.DeleteFunc(elements(document, "form"), func(form *html.Node) bool {
				return attribute(form, "action") != each.action || attribute(form, "method") != each.method ||
					!slices.Equal(fieldNames(form), each.fields)
			})

			require.Len(t, forms, 1)
		})
	}
}

func TestProduct_DisablesVariantsThatAreSoldOut(t *testing.T) {
	t.Parallel()

	document := render(t, newPages("plain")["product"])

	variants := elementsNamed(document, "variant_id")
	require.Len(t, variants, 3)
	require.True(t, hasAttribute(variants[0], "checked"))
	require.False(t, hasAttribute(variants[1], "disabled"))
	require.True(t, hasAttribute(variants[2], "disabled"))
}

func TestCheckout_TiesProblemsToFields(t *testing.T) {
	t.Parallel()

	document := render(t, newPages("plain")["checkout with problems"])

	email := byID(document, "email")
	require.Equal(t, "true", attribute(email, "aria-invalid"))
	require.Equal(t, "email-hint email-problem", attribute(email, "aria-describedby"))
	require.Equal(t, "plain", text(byID(document, "email-problem")))
	require.Empty(t, attribute(byID(document, "city"), "aria-invalid"))
}

func TestCart_ShowsARefusedQuantityAsTyped(t *testing.T) {
	t.Parallel()

	document := render(t, newPages("forty")["cart with a problem"])

	field := byID(document, "quantity-101")
	require.Equal(t, "forty", attribute(field, "value"))
	require.Equal(t, "quantity-101-problem", attribute(field, "aria-describedby"))
}

func TestPageNumbers_LeaveGaps(t *testing.T) {
	t.Parallel()

	require.Equal(t, []int{1, 2, 3}, pageNumbers(shop.Listing{Page: 2, Pages: 3}))
	require.Equal(t, []int{1, 2, 0, 12}, pageNumbers(shop.Listing{Page: 1, Pages: 12}))
	require.Equal(t, []int{1, 2, 3, 4, 0, 12}, pageNumbers(shop.Listing{Page: 3, Pages: 12}))
	require.Equal(t, []int{1, 0, 5, 6, 7, 0, 12}, pageNumbers(shop.Listing{Page: 6, Pages: 12}))
	require.Equal(t, []int{1, 0, 11, 12}, pageNumbers(shop.Listing{Page: 12, Pages: 12, Last: true}))
	require.Equal(t, []int{1, 0, 83332, 83333, 83334}, pageNumbers(shop.Listing{Page: 83333, Pages: 83334}))
	require.Equal(t, []int{1, 0, 5, 6, 7, 0}, pageNumbers(shop.Listing{Page: 6}))
	require.Equal(t, []int{1, 0, 5, 6}, pageNumbers(shop.Listing{Page: 6, Last: true}))
}

func TestNextPath_ContinuesAfterThePage(t *testing.T) {
	t.Parallel()

	require.Equal(t, "/categories/deck?page=2&after=eyJ9",
		nextPath("/categories/deck", "", shop.Listing{Page: 1, Next: "eyJ9"}))
	require.Equal(t, "/search?page=3&q=mug", nextPath("/search", "mug", shop.Listing{Page: 2}))
}

func TestListingPath_KeepsWhatWasAsked(t *testing.T) {
	t.Parallel()

	require.Equal(t, "/categories/deck", listingPath("/categories/deck", "", shop.SortFeatured, 1))
	require.Equal(t, "/search?page=2&q=rope+%26+tar&sort=name", listingPath("/search", "rope & tar", shop.SortName, 2))
}

func TestHome_ShowsAProductOnce(t *testing.T) {
	t.Parallel()
	card := shop.Card{ID: 1, From: shop.Euros(100)}

	document := render(t, Home(HomePage{Featured: []shop.Card{card}, Newest: []shop.Card{card}}))

	require.Len(t, elements(document, "article"), 1)
}

// newPages are all pages, with the words given in every field that holds text
// of shoppers or of the catalogue.
func newPages(words string) map[string]templ.Component {
	category := shop.Category{ID: 1, Slug: words, Name: words, Tagline: words}
	layout := Layout{
		Title: words, Description: words, Canonical: words, Query: words, Notice: words, Categories: []shop.Category{category},
		Stylesheet: Resource{Path: "/assets/store.css", Integrity: "sha384-style"},
		Scripts:    []Resource{{Path: "/assets/store.js", Integrity: "sha384-script"}}, Icon: "/assets/icon.svg", Live: "/live",
		CartUnits: 2, Development: true,
	}
	card := func(id int64) shop.Card {
		return shop.Card{ID: id, Slug: words, Name: words, Tagline: words, Picture: words, From: shop.Euros(1200), Varies: true}
	}
	listing := shop.Listing{Cards: []shop.Card{card(1), card(2)}, Page: 2, Pages: 9, Total: 98}
	variants := []shop.Variant{
		{ID: 101, Name: words, SKU: words, Price: shop.Euros(1200), Stock: 9},
		{ID: 102, Name: words, SKU: words, Price: shop.Euros(1400), Stock: 1},
		{ID: 103, Name: words, SKU: words, Price: shop.Euros(1400)},
	}
	product := shop.Product{
		ID: 9, Slug: words, Name: words, Tagline: words, Description: words, Details: []string{words}, Picture: words,
		Category: category, Variants: variants,
	}
	single := product
	single.Variants = variants[:1]
	add := AddToCartForm{VariantID: 101, Quantity: words, Problem: words}
	cart := shop.Cart{
		Lines:    []shop.CartLine{{Variant: variants[0], Product: card(9), Quantity: 1, Total: shop.Euros(1200)}},
		Subtotal: shop.Euros(1200), Shipping: shop.Euros(490), Total: shop.Euros(1690),
	}
	contact := shop.Contact{Email: words, Name: words, Street: words, PostalCode: words, City: words, Country: words, Note: words}
	refused := map[int64]string{101: words}
	problems := map[string]string{"email": words, "country": words, "note": words}
	order := shop.Order{
		ID: 4, Number: words, Contact: contact, PlacedAt: time.Now(),
		Lines: []shop.OrderLine{{ProductName: words, VariantName: words, Picture: words, Quantity: 1, Total: shop.Euros(1200)}},
	}
	sale := shop.Sale{
		ID: 7, Product: card(9), Variant: variants[0], Price: shop.Euros(900), Units: 50, Held: 3, Sold: 20,
		StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour), State: shop.SaleOpen,
	}
	offer := &SaleOffer{Sale: sale, ClaimID: words, PerCart: 1, HeldFor: 10 * time.Minute}
	onSale := cart
	held := shop.CartLine{Variant: variants[0], Product: card(9), Quantity: 1, Total: shop.Euros(900),
		Hold: &shop.Hold{ClaimID: "c", SaleID: 7, ExpiresAt: time.Now()}}
	lapsed := cart.Lines[0]
	lapsed.Lapsed = &sale.Price
	onSale.Lines = []shop.CartLine{lapsed, held}
	mail := Mail{ID: words, From: words, To: words, Subject: words, Text: words, HTML: words}

	pages := map[string]templ.Component{
		"home":                     Home(HomePage{Layout: layout, Featured: []shop.Card{card(1)}, Newest: []shop.Card{card(2)}}),
		"category":                 Category(CategoryPage{Layout: layout, Category: category, Listing: listing}),
		"empty category":           Category(CategoryPage{Layout: layout, Category: category}),
		"search":                   Search(SearchPage{Layout: layout, Listing: listing}),
		"search without result":    Search(SearchPage{Layout: layout, Suggestions: listing.Cards}),
		"product":                  Product(ProductPage{Layout: layout, Product: product, Related: listing.Cards, Form: add}),
		"product with one variant": Product(ProductPage{Layout: layout, Product: single, Related: listing.Cards, Form: add}),
		"cart":                     Cart(CartPage{Layout: layout, Cart: cart, Free: shop.Euros(4800)}),
		"home with a sale":         Home(HomePage{Layout: layout, Featured: []shop.Card{card(9)}, Sale: offer}),
		"product with a sale":      Product(ProductPage{Layout: layout, Product: product, Form: add, Sale: offer}),
		"cart with a hold":         Cart(CartPage{Layout: layout, Cart: onSale, Free: shop.Euros(4800)}),
		"checkout with a hold":     Checkout(CheckoutPage{Layout: layout, Cart: onSale, Countries: shop.Countries}),
		"cart with a problem":      Cart(CartPage{Layout: layout, Cart: cart, Problems: refused, Typed: refused}),
		"empty cart":               Cart(CartPage{Layout: layout}),
		"checkout":                 Checkout(CheckoutPage{Layout: layout, Cart: cart, Countries: shop.Countries}),
		"checkout with problems": Checkout(CheckoutPage{
			Layout: layout, Cart: cart, Contact: contact, Problems: problems, Countries: shop.Countries,
		}),
		"reminders":       Reminders(RemindersPage{Layout: layout, Token: "t"}),
		"reminders ended": Reminders(RemindersPage{Layout: layout, Token: "t", Ended: true}),
		"review": Review(ReviewPage{
			Layout: layout, Cart: cart, Contact: contact, Cards: []TestCard{{Number: words, Says: words}}, Problem: words,
			CheckoutKey: words, Reviewed: words,
		}),
		"order":     Order(OrderPage{Layout: layout, Order: order, Fresh: true}),
		"sale gone": SaleGone(SaleGonePage{Layout: layout}),
		"sale over": SaleGone(SaleGonePage{Layout: layout, Over: true}),
		"mail list": MailList(MailListPage{Layout: layout, Mails: []Mail{mail}}),
		"mail":      MailMessage(MailPage{Layout: layout, Mail: mail}),
	}
	for _, status := range []int{403, 404, 422, 500, 503} {
		pages[fmt.Sprintf("error %d", status)] = Error(ErrorPage{
			Layout: layout, Status: status, Heading: words, Detail: words, RequestID: words,
		})
	}
	layout.Query = ""
	pages["search without query"] = Search(SearchPage{Layout: layout, Suggestions: listing.Cards})
	return pages
}

func render(t *testing.T, component templ.Component) *html.Node {
	t.Helper()

	var page strings.Builder
	require.NoError(t, component.Render(t.Context(), &page))
	document, err := html.Parse(strings.NewReader(page.String()))
	require.NoError(t, err)
	return document
}

func walk(node *html.Node, visit func(*html.Node)) {
	for each := range node.Descendants() {
		visit(each)
	}
}

func elements(node *html.Node, name string) []*html.Node {
	var found []*html.Node
	walk(node, func(each *html.Node) {
		if each.Type == html.ElementNode && each.Data == name {
			found = append(found, each)
		}
	})
	return found
}

func elementsNamed(node *html.Node, name string) []*html.Node {
	var found []*html.Node
	walk(node, func(each *html.Node) {
		if attribute(each, "name") == name && each.Data != "meta" {
			found = append(found, each)
		}
	})
	return found
}

func byID(node *html.Node, id string) *html.Node {
	for each := range node.Descendants() {
		if attribute(each, "id") == id {
			return each
		}
	}
	return nil
}

func fieldNames(form *html.Node) []string {
	names := map[string]bool{}
	walk(form, func(each *html.Node) {
		if name := attribute(each, "name"); name != "" {
			names[name] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

func attribute(node *html.Node, name string) string {
	for _, each := range node.Attr {
		if each.Key == name {
			return each.Val
		}
	}
	return ""
}

func hasAttribute(node *html.Node, name string) bool {
	return slices.ContainsFunc(node.Attr, func(each html.Attribute) bool { return each.Key == name })
}

func text(node *html.Node) string {
	var words strings.Builder
	walk(node, func(each *html.Node) {
		if each.Type == html.TextNode {
			words.WriteString(each.Data)
		}
	})
	return words.String()
}
