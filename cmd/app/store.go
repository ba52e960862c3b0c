package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	files "slipway/config"
	"slipway/internal/config"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/payment"
	"slipway/internal/shop"
	"slipway/internal/storefront"
)

// newApplication plugs the store into the runtime. To run another application,
// rewrite this file: no other one outside internal/shop and internal/storefront
// names the store.
func newApplication() application {
	settings := &shop.Settings{}
	return application{
		announcement: "Leeward is open at %[1]s  (mail: %[1]s/dev/mail)",
		settings:     settings, migrations: shop.Migrations(), recurring: files.Recurring,
		seed: seedStore, seedHelp: seedHelp,
		work: func(b *backends) (work, error) {
			store, err := newStore(b, settings)
			if err != nil {
				return work{}, err
			}
			return work{jobs: store.Jobs(), tasks: store.Tasks(), background: []service{store.RunSales}}, nil
		},
		pages: func(b *backends, hub *live.Hub) (pages, error) {
			store, err := newStore(b, settings)
			if err != nil {
				return nil, err
			}
			return newStorefront(b, settings, store, hub)
		},
	}
}

// Private

const seedHelp = `It may run again at any time: texts, pictures and prices of the
sample catalogue are reset, and stock stays as it is. A flash sale starts if none is
running or planned.`

func newStore(b *backends, settings *shop.Settings) (*shop.Shop, error) {
	sender, err := b.mailSender(settings.MailFrom)
	if err != nil {
		return nil, err
	}
	return shop.New(shop.Options{
		DB: b.db, Jobs: b.jobs, Tasks: b.tasks, Cache: b.cache, Redis: b.redis,
		Fragments: storefront.Fragments{}, Publisher: b.publisher,
		Gateway: payment.Timed(payment.NewSandbox(settings.PaymentTimeout), b.pulse.outgoing), Mail: sender,
		BaseURL: strings.TrimSuffix(b.config.BaseURL, "/"), Log: b.log, Registry: b.registry,
		OrderLimit: shop.OrderLimit{Orders: settings.OrderLimit, Period: settings.OrderLimitPeriod},
		SaleHold:   settings.FlashSaleHold, SaleLimit: settings.FlashSaleLimitPerCart,
		SaleFairness: shop.SaleFairness{PerAddress: settings.FlashSaleLimitPerAddress, ShortestHold: settings.FlashSaleShortestHold},
	}), nil
}

func newStorefront(b *backends, settings *shop.Settings, store *shop.Shop, hub *live.Hub) (*storefront.Storefront, error) {
	return storefront.New(storefront.Options{
		Shop: store, Hub: hub, AssetsDir: b.config.AssetsDir,
		Secret: b.config.SecretKeyBase, BaseURL: b.config.BaseURL,
		Cards: payment.TestCards, Development: b.config.Environment == config.Development,
		Mails: mail.NewDirectory(b.config.MailDir, settings.MailFrom), PageTimeout: b.config.RequestTimeout,
		SaleHold: settings.FlashSaleHold, SaleLimit: settings.FlashSaleLimitPerCart,
	})
}

func seedStore(ctx context.Context, db *pgxpool.Pool, log *slog.Logger) (report string, err error) {
	store := shop.New(shop.Options{DB: db, Log: log, Registry: prometheus.NewRegistry()})
	products, err := store.Seed(ctx)
	if err != nil {
		return "", err
	}
	report = fmt.Sprintf("The store has the %d products of the sample catalogue.\n", products)
	sale, made, err := store.SeedSale(ctx)
	if made {
		report += fmt.Sprintf("A flash sale of %d x %s at %s runs until %s.\n", sale.Units, sale.Product.Name, sale.Price,
			sale.EndsAt.Format("15:04 MST"))
	}
	return report, err
}
