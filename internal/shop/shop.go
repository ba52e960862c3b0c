// Package shop is what the business does: catalogue, carts, checkout, orders.
// It knows no HTTP and no HTML. Replace it with your own domain.
package shop

import (
	"embed"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/jobs"
	"slipway/internal/mail"
	"slipway/internal/payment"
)

// ErrNotFound tells that there is no such thing, or none that may be seen.
var ErrNotFound = errors.New("not found")

// Shop is the store.
type Shop struct {
	db      *pgxpool.Pool
	jobs    *jobs.Jobs
	tasks   *jobs.Tasks
	gateway payment.Gateway
	mail    mail.Sender
	baseURL string
	log     *slog.Logger
	metrics *metrics
}

// Options are what the store is made of. A role leaves nil what it does not
// use: only worker-pg needs Mail.
type Options struct {
	DB       *pgxpool.Pool
	Jobs     *jobs.Jobs
	Tasks    *jobs.Tasks
	Gateway  payment.Gateway
	Mail     mail.Sender
	BaseURL  string // for links in mails, without a slash at the end
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// New makes the store.
func New(options Options) *Shop {
	return &Shop{
		db:      options.DB,
		jobs:    options.Jobs,
		tasks:   options.Tasks,
		gateway: options.Gateway,
		mail:    options.Mail,
		baseURL: options.BaseURL,
		log:     options.Log,
		metrics: newMetrics(options.Registry),
	}
}

// Migrations are the numbered SQL files that make the store's tables.
func Migrations() fs.FS {
	migrations, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return migrations
}

// Private

//go:embed migrations/*.sql
var migrationFiles embed.FS
