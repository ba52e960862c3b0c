// Package templates holds the store's pages: each is a templ component over
// one struct of this file.
package templates

import (
	"time"

	"slipway/internal/shop"
)

// Layout is what every page needs besides its own content.
type Layout struct {
	Title       string
	Description string
	Canonical   string          // address for search engines; empty: they do not index the page
	Path        string          // of the page, for the navigation's current mark
	Query       string          // what the search field shows
	Categories  []shop.Category // of the navigation; may be empty while the database is unavailable
	CartUnits   int             // UnknownUnits shows no badge
	Stylesheet  Resource
	Scripts     []Resource
	Icon        string // fingerprinted path
	Live        string // path of the page's event stream, empty for none
	Development bool   // links to the mail that was sent
	Notice      string // one sentence about what just happened, empty for none
}

// Resource is a script or a style sheet.
type Resource struct {
	Path      string // fingerprinted
	Integrity string // digest; a browser refuses other content
}

// UnknownUnits stands for the number of units of a cart that was not read.
const UnknownUnits = -1

// HomePage is the front page.
type HomePage struct {
	Layout
	Featured []shop.Card // 8
	Newest   []shop.Card // 4
	Sale     *SaleOffer  // nil when there is none
}

// SaleOffer is a flash sale with the form that claims a unit of it.
type SaleOffer struct {
	shop.Sale
	ClaimID string // hidden field: one claim, one unit
	PerCart int    // most units for one cart
	HeldFor time.Duration
}

// CategoryPage is one page of a category.
type CategoryPage struct {
	Layout
	Category shop.Category
	Listing  shop.Listing
}

// SearchPage is one page of search results. An empty Layout.Query shows the
// field and suggestions alone.
type SearchPage struct {
	Layout
	Listing     shop.Listing
	Suggestions []shop.Card // shown when nothing was found
}

// ProductPage is a product with its variants and the form that adds one to
// the cart.
type ProductPage struct {
	Layout
	Product  shop.Product
	Related  []shop.Card // 4, of the same category
	Form     AddToCartForm
	Interest shop.Interest
	Sale     *SaleOffer // nil when there is none
}

// AddToCartForm is the state of a product page's form.
type AddToCartForm struct {
	VariantID int64  // chosen; the first with stock when nothing was chosen
	Quantity  string // as typed
	Problem   string // why it was refused, empty at first
}

// CartPage is the cart.
type CartPage struct {
	Layout
	Cart     shop.Cart
	Problems map[int64]string // by variant id: why a line cannot stay as it is
	Free     shop.Money       // what is missing for free shipping; zero when reached
	Typed    map[int64]string // by variant id: the quantity as typed, where it was refused
}

// CheckoutPage is the form for contact and address.
type CheckoutPage struct {
	Layout
	Cart      shop.Cart
	Contact   shop.Contact      // as typed
	Problems  map[string]string // by field name: email name street postal_code city country note
	Countries []shop.Country
}

// ReviewPage is the page on which the shopper checks the order and pays.
type ReviewPage struct {
	Layout
	Cart        shop.Cart
	Contact     shop.Contact
	Cards       []TestCard
	Card        string // chosen card number
	Problem     string // why the last try was refused, empty at first
	CheckoutKey string // hidden field: one key, one order
	Reviewed    string // hidden field: shop.Review of what the page shows
}

// TestCard is a card of the sandbox gateway.
type TestCard struct {
	Number string // "4242 4242 4242 4242"
	Says   string // "Payment succeeds"
}

// OrderPage shows an order to its shopper.
type OrderPage struct {
	Layout
	Order shop.Order
	Fresh bool // just placed: say thank you
}

// RemindersPage ends reminders to an address.
type RemindersPage struct {
	Layout
	Token string // of the link in the reminder
	Ended bool
}

// SaleGonePage is for a shopper who came too late for a flash sale. It must not
// need the database, because most shoppers of a flash sale get it.
type SaleGonePage struct {
	Layout
	Over bool // the sale is not open; else all its units are taken
}

// ErrorPage is shown for 403, 404, 405, 413, 422, 429, 500 and 503. It must
// not need the database.
type ErrorPage struct {
	Layout
	Status    int
	Heading   string
	Detail    string
	RequestID string // shown for 5xx, so that a shopper can name it
}

// MailListPage lists the mail sent in development, newest first.
type MailListPage struct {
	Layout
	Mails []Mail
}

// MailPage shows one mail.
type MailPage struct {
	Layout
	Mail Mail
}

// Mail is a message as the development mail list shows it.
type Mail struct {
	ID      string // of /dev/mail/ID
	From    string
	To      string
	Subject string
	SentAt  time.Time
	Text    string
	HTML    string // shown in a sandboxed iframe through srcdoc
}
