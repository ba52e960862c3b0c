// Package rawpage is the page of a product made with echo, pgx and templ alone, as their
// documentation shows: what a page of the application is compared with. It reads the
// tables of the sample application.
package rawpage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Serve serves GET /products/:slug and /metrics on an address until ctx ends. Each page
// reads the product, reads four others of its category, checks a signed cookie, gets an
// ETag, and is logged as JSON on stdout. There are no limits, no cache and no compression.
func Serve(ctx context.Context, address, databaseURL string) error {
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	names, err := categories(ctx, pool)
	if err != nil {
		return err
	}

	prometheus.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "app_database_acquires_total", Help: "Connections taken from the pool.",
	}, func() float64 { return float64(pool.Stat().AcquireCount()) }))
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(middleware.RequestID(), logRequests(slog.New(slog.NewJSONHandler(os.Stdout, nil))), middleware.Recover(), middleware.Secure())
	e.GET("/products/:slug", showProduct(pool, names))
	e.GET("/metrics", echo.WrapHandler(promhttp.Handler()))
	context.AfterFunc(ctx, func() { _ = e.Close() })
	if err := e.Start(address); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Private

type product struct {
	name, tagline, description, picture string
	details                             []string
	category                            category
	variants                            []variant
}

type category struct{ Slug, Name, Tagline string }

type variant struct {
	id    int64
	name  string
	cents int
	stock int
}

type card struct {
	id                           int64
	slug, name, tagline, picture string
	cents, stock                 int
	varies                       bool
}

func showProduct(pool *pgxpool.Pool, categories []category) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		found, err := find(ctx, pool, c.Param("slug"))
		if err != nil {
			return err
		}
		related, err := beside(ctx, pool, c.Param("slug"))
		if err != nil {
			return err
		}
		var page buffer
		if err := productPage(found, related, categories, isSigned(c)).Render(ctx, &page); err != nil {
			return err
		}
		sum := sha256.Sum256(page)
		etag := `"` + hex.EncodeToString(sum[:16]) + `"`
		c.Response().Header().Set("ETag", etag)
		c.Response().Header().Set("Cache-Control", "private, no-cache")
		if c.Request().Header.Get("If-None-Match") == etag {
			return c.NoContent(http.StatusNotModified)
		}
		return c.HTMLBlob(http.StatusOK, page)
	}
}

func find(ctx context.Context, pool *pgxpool.Pool, slug string) (found product, err error) {
	rows, err := pool.Query(ctx, `
		SELECT p.name, p.tagline, p.description, p.details, p.picture, c.slug, c.name, c.tagline, v.id, v.name, v.price_cents, v.stock
		FROM products p
		JOIN categories c ON c.id = p.category_id
		JOIN variants v ON v.product_id = p.id
		WHERE p.slug = $1
		ORDER BY v.position`, slug)
	if err != nil {
		return found, err
	}
	var v variant
	_, err = pgx.ForEachRow(rows, []any{
		&found.name, &found.tagline, &found.description, &found.details, &found.picture,
		&found.category.Slug, &found.category.Name, &found.category.Tagline, &v.id, &v.name, &v.cents, &v.stock,
	}, func() error {
		found.variants = append(found.variants, v)
		return nil
	})
	if err == nil && len(found.variants) == 0 {
		return found, echo.ErrNotFound
	}
	return found, err
}

func beside(ctx context.Context, pool *pgxpool.Pool, slug string) ([]card, error) {
	rows, err := pool.Query(ctx, `
		SELECT p.id, p.slug, p.name, p.tagline, p.picture, price.low, price.varies, price.stock
		FROM products this
		JOIN products p ON p.category_id = this.category_id AND p.id <> this.id
		JOIN LATERAL (
			SELECT min(v.price_cents) AS low, min(v.price_cents) < max(v.price_cents) AS varies, sum(v.stock)::bigint AS stock
			FROM variants v
			WHERE v.product_id = p.id
		) AS price ON true
		WHERE this.slug = $1
		ORDER BY p.position
		LIMIT 4`, slug)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c card, err error) {
		err = row.Scan(&c.id, &c.slug, &c.name, &c.tagline, &c.picture, &c.cents, &c.varies, &c.stock)
		return c, err
	})
}

func categories(ctx context.Context, pool *pgxpool.Pool) ([]category, error) {
	rows, err := pool.Query(ctx, `SELECT slug, name, tagline FROM categories ORDER BY position`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[category])
}

// isSigned checks the signature of the cookie "visitor".
func isSigned(c echo.Context) bool {
	cookie, err := c.Cookie("visitor")
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte("key of a comparison, which protects nothing"))
	mac.Write([]byte("visitor"))
	given, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	return err == nil && hmac.Equal(given, mac.Sum(nil))
}

func logRequests(log *slog.Logger) echo.MiddlewareFunc {
	return middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
		LogMethod: true, LogURIPath: true, LogStatus: true, LogLatency: true, LogResponseSize: true, LogRequestID: true, HandleError: true,
		LogValuesFunc: func(c echo.Context, v middleware.RequestLoggerValues) error {
			log.LogAttrs(c.Request().Context(), slog.LevelInfo, "request", slog.String("method", v.Method), slog.String("path", v.URIPath),
				slog.Int("status", v.Status), slog.Duration("took", v.Latency), slog.Int64("bytes", v.ResponseSize),
				slog.String("request_id", v.RequestID))
			return nil
		},
	})
}

// buffer is where a page is rendered.
type buffer []byte

func (b *buffer) Write(content []byte) (int, error) {
	*b = append(*b, content...)
	return len(content), nil
}
