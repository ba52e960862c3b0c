// Package storefront is what people see: the pages of the store and the forms
// on them. It holds no SQL and starts no transaction.
package storefront

import (
	"crypto/hkdf"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"slipway/internal/assets"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/payment"
	"slipway/internal/shop"
	"slipway/internal/web"
)

// Storefront draws the store's pages.
type Storefront struct {
	shop        *shop.Shop
	hub         *live.Hub
	assets      *assets.Assets
	cart        *web.SignedCookie
	visitorKey  []byte
	cards       []payment.TestCard
	development bool
	mails       *mail.Directory
	pageTimeout time.Duration
	saleHold    time.Duration
	saleLimit   int
	stale       *web.Stale
}

// Options are what the pages are made of.
type Options struct {
	Shop        *shop.Shop
	Hub         *live.Hub
	AssetsDir   string             // with the assets of other builds; empty for none
	Secret      string             // signs cookies
	Secure      bool               // cookies over HTTPS only
	Cards       []payment.TestCard // that the payment gateway offers
	Development bool               // shows the mails that were sent
	Mails       *mail.Directory    // where they are; unused outside development
	PageTimeout time.Duration      // the longest that one page may take
	SaleHold    time.Duration      // how long a cart holds a unit of a sale
	SaleLimit   int                // most units of one sale for one cart
	Stale       *web.Stale         // keeps public pages for when the database is away; nil keeps none
}

// New makes the storefront.
func New(options Options) (*Storefront, error) {
	files, err := fs.Sub(assetFiles, "assets")
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
		return nil, fmt.Errorf("make the key of visitors: %w", err)
	}
	return &Storefront{
		shop:        options.Shop,
		hub:         options.Hub,
		assets:      loaded,
		cart:        web.NewSignedCookie(options.Secret, "cart", shop.CartLifetime, options.Secure),
		visitorKey:  visitorKey,
		cards:       options.Cards,
		development: options.Development,
		mails:       options.Mails,
		pageTimeout: options.PageTimeout,
		saleHold:    options.SaleHold,
		saleLimit:   options.SaleLimit,
		stale:       options.Stale,
	}, nil
}

// Private

//go:embed assets
var assetFiles embed.FS
