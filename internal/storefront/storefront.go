// Package storefront serves the pages and forms of the store. It holds no SQL and
// starts no transaction.
package storefront

import (
	"crypto/hkdf"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"slipway/internal/assets"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/payment"
	"slipway/internal/shop"
	"slipway/internal/web"
)

// Storefront renders the pages of the store.
type Storefront struct {
	shop        *shop.Shop
	hub         *live.Hub
	assets      *assets.Assets
	cart        *web.SignedCookie
	baseURL     string
	visitorKey  []byte
	cards       []payment.TestCard
	development bool
	mails       *mail.Directory
	pageTimeout time.Duration
	saleHold    time.Duration
	saleLimit   int
}

// Options are the parts and settings of the pages.
type Options struct {
	Shop        *shop.Shop
	Hub         *live.Hub
	AssetsDir   string             // has the assets of other builds; empty: only its own
	Secret      string             // signs cookies
	BaseURL     string             // the public address; cookies are sent over HTTPS only when it is https
	Cards       []payment.TestCard // test cards of the payment gateway
	Development bool               // serves the pages of sent mails
	Mails       *mail.Directory    // the sent mails; used only in development
	PageTimeout time.Duration      // of one page
	SaleHold    time.Duration      // how long a cart holds a unit of a sale
	SaleLimit   int                // largest number of units of one sale in one cart
}

// New makes the storefront. The error says that the assets cannot be read.
func New(options Options) (*Storefront, error) {
	files, err := fs.Sub(assetFiles, "dist")
	if err != nil {
		return nil, fmt.Errorf("open assets: %w", err)
	}
	loaded, err := assets.Load(files)
	if err != nil {
		return nil, err
	}
	if options.AssetsDir != "" {
		if err := loaded.Bridge(options.AssetsDir); err != nil {
			return nil, err
		}
	}
	visitorKey, err := hkdf.Key(sha256.New, []byte(options.Secret), nil, "visitors", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the visitor key: %w", err)
	}
	s := &Storefront{
		shop:        options.Shop,
		hub:         options.Hub,
		assets:      loaded,
		cart:        web.NewSignedCookie(options.Secret, cartCookie, shop.CartLifetime, strings.HasPrefix(options.BaseURL, "https://")),
		baseURL:     strings.TrimSuffix(options.BaseURL, "/"),
		visitorKey:  visitorKey,
		cards:       options.Cards,
		development: options.Development,
		mails:       options.Mails,
		pageTimeout: options.PageTimeout,
		saleHold:    options.SaleHold,
		saleLimit:   options.SaleLimit,
	}
	dictionary, err := s.pageDictionary()
	if err != nil {
		return nil, err
	}
	if err := loaded.AddPageDictionary(dictionary); err != nil {
		return nil, err
	}
	return s, nil
}

// Private

// cartCookie names the cart of a shopper.
const cartCookie = "cart"

// The build tool makes dist from assets: go run ./internal/assets/build.
//
//go:embed dist
var assetFiles embed.FS
