package storefront_test

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/cache"
	"slipway/internal/edge"
	"slipway/internal/edge/purge"
	"slipway/internal/failopen"
	"slipway/internal/failopen/failopentest"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/payment"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
	"slipway/internal/storefront"
	"slipway/internal/telemetry"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

// site is a seeded store behind a real listener, without Redis.
type site struct {
	url   string
	db    *pgxpool.Pool
	pages *storefront.Storefront
	mails *mail.Directory
	guard *failopen.Guard // of Redis
}

func newSite(t *testing.T, adjust ...func(*shop.Options)) site {
	t.Helper()
	return newSiteWith(t, setup{}, adjust...)
}

// newLimitedSite is a site with limits, which believes X-Forwarded-For.
func newLimitedSite(t *testing.T, limits *throttle.Settings) site {
	t.Helper()
	return newSiteWith(t, setup{limits: limits})
}

// setup is what sites of tests differ in. The zero value has no limits, no Redis
// and no public address.
type setup struct {
	limits  *throttle.Settings
	redis   failopen.Options
	budget  time.Duration // for Redis; zero: a second
	baseURL string

	trace pgx.QueryTracer // of the database's statements; nil: none

	// hearsChanges lets pages be served from the cache until what they show changes.
	// Otherwise cached pages only replace errors, so that every page is as new as its
	// request.
	hearsChanges bool
}

// hears runs the listener of purges until the test ends.
func hears(t *testing.T, db *pgxpool.Pool, server *edge.Edge) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var listening sync.WaitGroup
	listening.Go(func() { _ = purge.NewListener(db, server, slog.New(slog.DiscardHandler)).Run(ctx) })
	t.Cleanup(func() {
		stop()
		listening.Wait()
	})
}

// traced is another pool of the same database.
func traced(t *testing.T, db *pgxpool.Pool, tracer pgx.QueryTracer) *pgxpool.Pool {
	t.Helper()
	config := db.Config()
	config.ConnConfig.Tracer = tracer
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

func newSiteWith(t *testing.T, setup setup, adjust ...func(*shop.Options)) site {
	t.Helper()
	db := pgtest.New(t, shop.Migrations())
	if setup.trace != nil {
		db = traced(t, db, setup.trace)
	}
	registry := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	reporter := telemetry.NewReporter(log, registry)
	redis, guard := failopentest.Open(t, setup.redis)
	metrics := jobs.NewMetrics(registry)
	queue, err := jobs.NewJobs(db, metrics)
	require.NoError(t, err)
	tasks, err := jobs.NewTasks(guard, queue, metrics)
	require.NoError(t, err)

	options := shop.Options{
		DB: db, Jobs: queue, Tasks: tasks, Redis: redis, Gateway: payment.NewSandbox(20 * time.Millisecond),
		BaseURL: "http://leeward.example", Log: log, Registry: registry,
		SaleHold: 10 * time.Minute, SaleLimit: 1,
		SaleFairness: shop.SaleFairness{PerAddress: 5, ShortestHold: 2 * time.Minute},
	}
	if setup.redis.URL != "" {
		options.Cache = cache.New(redis, cache.Options{}, registry)
		t.Cleanup(options.Cache.Close)
	}
	for _, change := range adjust {
		change(&options)
	}
	store := shop.New(options)
	_, err = store.Seed(t.Context())
	require.NoError(t, err)
	mails := mail.NewDirectory(t.TempDir(), "a@leeward.example")
	pages, err := storefront.New(storefront.Options{
		Shop: store, Hub: live.NewHub("", redis, live.StreamOptions{Lifetime: time.Second, Limit: 10}, reporter, registry),
		Secret: strings.Repeat("s", 32), BaseURL: setup.baseURL, Cards: payment.TestCards, Development: true,
		Mails: mails, PageTimeout: 10 * time.Second,
		SaleHold: 10 * time.Minute, SaleLimit: 1,
	})
	require.NoError(t, err)
	clients := throttle.NewClients([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, 64, log)
	var limiter *throttle.Limiter
	if setup.limits != nil {
		rules := pages.Limits(*setup.limits)
		limiter, err = throttle.New(throttle.Options{Redis: redis, Clients: clients, Rules: rules, Log: log, Registry: registry})
		require.NoError(t, err)
	}
	cacheSize := int64(1 << 20)
	if setup.trace != nil {
		cacheSize = 0 // its copies in the background ask the database too
	}
	server := web.New(web.Options{
		Clients: clients, Throttle: limiter, Log: log, Registry: registry, Reporter: reporter, Health: health.New(registry),
		RedisBudget: cmp.Or(setup.budget, time.Second), MaxRequestBody: 1 << 20, BaseURL: setup.baseURL,
		CrossOriginRoutes: pages.CrossOriginRoutes(), CacheSize: cacheSize, MaxCacheItem: 256 << 10, StaleFor: time.Minute,
	}, pages)
	t.Cleanup(server.Close)
	server.Distrust(!setup.hearsChanges)
	if setup.hearsChanges {
		hears(t, db, server)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return site{url: listener.URL, db: db, pages: pages, mails: mails, guard: guard}
}

// shopper is one browser: it keeps cookies and follows redirects.
type shopper struct {
	t    *testing.T
	site site
	http *http.Client
	from string // an address; see shopperAt
}

func (s site) shopper(t *testing.T) *shopper {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &shopper{t: t, site: s, http: &http.Client{Jar: jar}}
}

// answer is a page with the address at which it was shown.
type answer struct {
	status int
	path   string
	body   string
	header http.Header
}

func (s *shopper) get(path string) answer {
	s.t.Helper()
	response, err := s.http.Get(s.site.url + path)
	require.NoError(s.t, err)
	return s.read(response)
}

func (s *shopper) post(path string, fields url.Values) answer {
	s.t.Helper()
	response, err := s.http.PostForm(s.site.url+path, fields)
	require.NoError(s.t, err)
	return s.read(response)
}

func (s *shopper) read(response *http.Response) answer {
	s.t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return answer{status: response.StatusCode, path: response.Request.URL.Path, body: string(body), header: response.Header}
}

// add puts units of a product's first variant into the cart.
func (s *shopper) add(slug string, units int) int64 {
	s.t.Helper()
	variant := s.site.variant(s.t, slug)
	added := s.post("/cart/lines", url.Values{"variant_id": {strconv.FormatInt(variant, 10)}, "quantity": {strconv.Itoa(units)}})
	require.Equal(s.t, http.StatusOK, added.status, added.body)
	require.Equal(s.t, "/cart", added.path)
	return variant
}

// review fills in the checkout and returns the fields of the paying form.
func (s *shopper) review() url.Values {
	s.t.Helper()
	page := s.post("/checkout", contact())
	require.Equal(s.t, "/checkout/review", page.path, page.body)
	return url.Values{
		"checkout_key": {hidden(s.t, page.body, "checkout_key")},
		"reviewed":     {hidden(s.t, page.body, "reviewed")},
		"card":         {"4242 4242 4242 4242"},
	}
}

func contact() url.Values {
	return url.Values{
		"email": {"ada@example.com"}, "name": {"Ada Lovelace"}, "street": {"Quay 1"},
		"postal_code": {"1010"}, "city": {"Vienna"}, "country": {"AT"}, "note": {""},
	}
}

func hidden(t *testing.T, body, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	require.Len(t, found, 2, "no field %s", name)
	return found[1]
}

func (s site) variant(t *testing.T, slug string) int64 {
	t.Helper()
	return int64(s.count(t, `
		SELECT v.id
		FROM variants v
		JOIN products p ON p.id = v.product_id
		WHERE p.slug = $1
		ORDER BY v.position
		LIMIT 1`, slug))
}

func (s site) setStock(t *testing.T, variant int64, stock int) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), `UPDATE variants SET stock = $2 WHERE id = $1`, variant, stock)
	require.NoError(t, err)
}

func (s site) count(t *testing.T, query string, arguments ...any) int {
	t.Helper()
	var count int
	require.NoError(t, s.db.QueryRow(t.Context(), query, arguments...).Scan(&count))
	return count
}
