// Package shop is the business of the store: catalogue, carts, checkout, orders
// and flash sales. It knows no HTTP and no HTML. Replace it with your own domain.
package shop

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/cache"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/payment"
)

// ErrNotFound says that a thing does not exist or must not be seen.
var ErrNotFound = errors.New("not found")

// Shop is the store.
type Shop struct {
	db      *pgxpool.Pool
	jobs    *jobs.Jobs
	tasks   *jobs.Tasks
	gateway payment.Gateway
	mail    mail.Sender
	baseURL string
	cache   *cache.Cache
	log     *slog.Logger
	metrics *metrics

	fragments Fragments
	publisher *live.Publisher

	claims   saleClaims
	hadSale  sync.Map // slugs of the products whose last page had a sale
	presence presence

	orderLimit OrderLimit
	saleHold   time.Duration
	saleLimit  int

	saleFairness SaleFairness
}

// Options are the parts and settings of the store. Parts without a remark are
// needed.
type Options struct {
	DB       *pgxpool.Pool
	Jobs     *jobs.Jobs
	Tasks    *jobs.Tasks
	Gateway  payment.Gateway
	Mail     mail.Sender
	Cache    *cache.Cache    // nil: every read goes to the database
	Redis    *failopen.Redis // refuses hopeless claims on flash sales and counts visitors; may be nil
	BaseURL  string          // for links in mails, without a trailing slash
	Log      *slog.Logger
	Registry prometheus.Registerer

	Fragments Fragments       // renders what Tasks publish
	Publisher *live.Publisher // publishes what Tasks render

	OrderLimit OrderLimit // the zero value is no limit

	SaleHold  time.Duration // how long a cart holds a unit of a sale
	SaleLimit int           // largest number of units of one sale in one cart

	SaleFairness SaleFairness // the zero value limits no address
}

// New makes the store.
func New(options Options) *Shop {
	return &Shop{
		db:      options.DB,
		jobs:    options.Jobs,
		tasks:   options.Tasks,
		gateway: options.Gateway,
		mail:    options.Mail,
		cache:   options.Cache,
		baseURL: options.BaseURL,
		log:     options.Log,
		metrics: newMetrics(options.Registry),

		fragments: options.Fragments,
		publisher: options.Publisher,

		claims:   saleClaims{options.Redis},
		presence: presence{options.Redis},

		orderLimit: options.OrderLimit,
		saleHold:   options.SaleHold,
		saleLimit:  options.SaleLimit,

		saleFairness: options.SaleFairness,
	}
}

// Migrations are the numbered SQL files that create the tables of the store.
func Migrations() fs.FS {
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return migrations
}

// Private

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

//go:embed migrations/*.sql
var migrationFiles embed.FS
