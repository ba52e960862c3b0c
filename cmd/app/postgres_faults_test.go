package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

// postgresFault is one way in which PostgreSQL fails a running store.
type postgresFault struct {
	begin func(*faultyStore) (end func())

	page   string // what a page shows that was seen before: fresh, or stale
	search int    // status of a page that is not kept
	cart   int    // status of GET /cart
	buy    int    // status of POST /orders
	health string // status of /health, check and reason; no check when all is well
	check  string
	reason string
}

// TestWeb_PostgreSQLFaults is section 2 of the table of faults: what shoppers
// and operators see while each lasts, that a form which failed can be sent
// again, and that all is well after it. One store lives through all of them;
// the last one is remembered for half a minute.
func TestWeb_PostgreSQLFaults(t *testing.T) {
	t.Parallel()
	down := func(f *faultyStore) (end func()) {
		return func() { require.NoError(f.t, f.postgres.Restart(f.t.Context())) }
	}
	faults := []struct {
		name string
		postgresFault
	}{
		{"shut down (fast)", postgresFault{
			begin: func(f *faultyStore) func() { f.shutDown(); return down(f) },
			page:  "stale", search: 503, cart: 503, buy: 503, health: "error", check: "database", reason: "refused",
		}},
		{"crashed", postgresFault{
			begin: func(f *faultyStore) func() { require.NoError(f.t, f.postgres.Kill()); return down(f) },
			page:  "stale", search: 503, cart: 503, buy: 503, health: "error", check: "database", reason: "refused",
		}},
		{"restarted, unnoticed by an idle pool", postgresFault{
			begin: func(f *faultyStore) func() { require.NoError(f.t, f.postgres.Restart(f.t.Context())); return func() {} },
			page:  "fresh", search: 200, cart: 200, buy: 200, health: "ok",
		}},
		{"every connection terminated", postgresFault{
			begin: func(f *faultyStore) func() { f.terminate(); return func() {} },
			page:  "fresh", search: 200, cart: 200, buy: 200, health: "ok",
		}},
		{"frozen", postgresFault{
			begin: func(f *faultyStore) func() {
				require.NoError(f.t, f.postgres.Freeze())
				return func() { require.NoError(f.t, f.postgres.Thaw()) }
			},
			page: "stale", search: 503, cart: 503, buy: 503, health: "error", check: "database", reason: "timeout",
		}},
		{"read-only", postgresFault{
			begin: func(f *faultyStore) func() {
				f.admin(`ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`)
				return func() {
					f.admin(`SET default_transaction_read_only = off`, `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`)
				}
			},
			page: "fresh", search: 200, cart: 200, buy: 503, health: "error", check: "database", reason: "read_only",
		}},
		{"too many connections", postgresFault{
			begin: func(f *faultyStore) func() {
				f.admin(`ALTER ROLE shop CONNECTION LIMIT 0`)
				f.terminate()
				return func() { f.admin(`ALTER ROLE shop CONNECTION LIMIT -1`) }
			},
			page: "stale", search: 503, cart: 503, buy: 503, health: "error", check: "database", reason: "sqlstate_53300",
		}},
		{"pool exhausted", postgresFault{
			begin: func(f *faultyStore) func() { return f.lock("products", "pictures", "categories", "carts") },
			page:  "stale", search: 503, cart: 503, buy: 503, health: "degraded", check: "pool", reason: "in use",
		}},
		{"one slow statement", postgresFault{
			begin: func(f *faultyStore) func() { return f.lock("orders") },
			page:  "fresh", search: 200, cart: 200, buy: 503, health: "ok",
		}},
		{"disk full", postgresFault{
			// Raised by a trigger: the server's own code for it, over its own wire.
			begin: func(f *faultyStore) func() {
				f.admin(`CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`,
					`CREATE TRIGGER disk_full BEFORE INSERT ON orders EXECUTE FUNCTION disk_full()`)
				return func() { f.admin(`DROP FUNCTION disk_full CASCADE`) }
			},
			page: "fresh", search: 200, cart: 200, buy: 503, health: "error", check: "database", reason: "disk_full",
		}},
	}
	f := newFaultyStore(t)
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) { f.suffer(t, fault.postgresFault) })
	}
	require.NotContains(t, f.web.output.String(), "DATA RACE")
	require.NotContains(t, f.web.output.String(), "status=500")
}

// Private

// faultyStore is a store on a PostgreSQL that the test may do anything to. The
// store is no superuser there: those have connections in reserve.
type faultyStore struct {
	t        *testing.T
	d        *deployment
	postgres *devstack.Postgres
	adminURL string
	web      *appProcess
}

func newFaultyStore(t *testing.T) *faultyStore {
	t.Helper()
	d, postgres := deployAlone(t)
	f := &faultyStore{t: t, d: d, postgres: postgres, adminURL: postgres.URL()}
	f.admin(`CREATE ROLE shop LOGIN PASSWORD 'shop' IN ROLE slipway`, `ALTER ROLE shop SET role = slipway`)
	address, err := url.Parse(f.adminURL)
	require.NoError(t, err)
	address.User = url.UserPassword("shop", "shop")
	f.web = d.start("web", "DATABASE_URL="+address.String(), "DATABASE_POOL_SIZE=4", "DATABASE_STATEMENT_TIMEOUT=1500ms", "DATABASE_ACQUIRE_TIMEOUT=700ms")
	f.web.eventually(func() bool { return f.web.health().Status == "ok" }, "is healthy")
	return f
}

func (f *faultyStore) suffer(t *testing.T, fault postgresFault) {
	f.t = t
	variant, _ := f.d.variantWith("kelp-soap", 5)
	ada, eve := newShopper(t, f.web.url), newShopper(t, f.web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	form := ada.fillIn(workingCard)
	orders := f.d.query(`SELECT count(*) FROM orders`)
	require.Eventually(t, func() bool { return f.get(ada, "/products/kelp-soap").kept == "fresh" }, patience, 50*time.Millisecond)

	end := fault.begin(f)
	ended := false
	defer func() {
		if !ended {
			end()
		}
	}()

	// What shoppers see, all at once.
	var all sync.WaitGroup
	var first answered
	crowd := make([]int, 40)
	var cart, buy int
	all.Go(func() { first = f.get(ada, "/products/kelp-soap") })
	all.Go(func() { cart = f.get(ada, "/cart").status })
	all.Go(func() { buy, _, _ = ada.post("/orders", form) })
	for i := range crowd {
		all.Go(func() { crowd[i] = f.get(eve, "/search?q=soap").status })
	}
	began := time.Now()
	all.Wait()
	require.Less(t, time.Since(began), 6*time.Second, "nobody waits for the end of REQUEST_TIMEOUT")
	require.Equal(t, http.StatusOK, first.status)
	require.Equal(t, fault.cart, cart)
	require.Equal(t, fault.buy, buy)
	for _, status := range crowd {
		require.Contains(t, []int{fault.search, http.StatusServiceUnavailable}, status) // 40 at once on 4 connections
	}

	// What the operator sees.
	f.web.eventually(func() bool {
		report := f.web.health()
		if fault.check == "" {
			return report.Status == fault.health
		}
		if fault.health == "degraded" {
			all.Go(func() { f.get(eve, "/search?q=soap") }) // somebody has to wait
		}
		return report.Status == fault.health && strings.Contains(report.Checks[fault.check].Reason, fault.reason)
	}, "says "+fault.health+" "+fault.reason)
	all.Wait()
	require.Equal(t, http.StatusOK, status(f.web.ops+"/up"))

	// Once the fault is known.
	var took []time.Duration
	for range 10 {
		shown := f.get(ada, "/products/kelp-soap")
		require.Equal(t, http.StatusOK, shown.status)
		require.Equal(t, fault.page, shown.kept)
		if shown.kept == "stale" {
			require.Contains(t, shown.body, "may be a few minutes old")
			require.NotContains(t, shown.body, `id="cart-badge"`)
			require.Empty(t, shown.header.Get("Set-Cookie"))
		} else {
			require.Contains(t, shown.body, `id="cart-badge"`)
		}
		took = append(took, shown.took)
		if fault.health == "degraded" {
			break // every page waits for its connection
		}
	}
	slices.Sort(took)

	ended = true
	end()
	returned := time.Now()
	require.Eventually(t, func() bool { return f.get(ada, "/search?q=soap").status == http.StatusOK }, patience, 10*time.Millisecond)
	recovery := time.Since(returned)
	t.Logf("first page %s, then %s (median); pages again after %s", first.took.Round(time.Millisecond), took[len(took)/2].Round(100*time.Microsecond), recovery.Round(time.Millisecond))
	f.web.eventually(func() bool {
		return f.web.health().Checks["database"].Status == "ok" || fault.reason == "disk_full" // remembered for a while
	}, "is healthy again")

	// The form that failed makes one order now, and one that went through the same.
	require.Eventually(t, func() bool { buy, _, _ = ada.post("/orders", form); return buy != http.StatusServiceUnavailable }, patience, 50*time.Millisecond)
	require.Equal(t, http.StatusOK, buy)
	require.Equal(t, orders+1, f.d.query(`SELECT count(*) FROM orders`))
	require.Equal(t, "fresh", f.get(ada, "/products/kelp-soap").kept)
}

// answered is a page with what tells where it came from.
type answered struct {
	status int
	kept   string // fresh or stale; empty when it is no page
	body   string
	header http.Header
	took   time.Duration
}

func (f *faultyStore) get(s *shopper, path string) answered {
	began := time.Now()
	response, err := s.http.Get(s.url + path)
	if err != nil {
		return answered{}
	}
	defer response.Body.Close()
	var body strings.Builder
	if _, err := io.Copy(&body, response.Body); err != nil {
		return answered{}
	}
	shown := answered{status: response.StatusCode, body: body.String(), header: response.Header, took: time.Since(began)}
	if shown.status == http.StatusOK {
		shown.kept = "fresh"
		if response.Header.Get("X-Served-Stale") != "" {
			shown.kept = "stale"
		}
	}
	return shown
}

// admin runs statements as the superuser, over one connection.
func (f *faultyStore) admin(statements ...string) {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	defer connection.Close(context.Background())
	for _, statement := range statements {
		_, err := connection.Exec(f.t.Context(), statement)
		require.NoError(f.t, err, statement)
	}
}

// terminate ends every connection of the store.
func (f *faultyStore) terminate() {
	f.t.Helper()
	f.admin(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'shop'`)
}

// lock makes every statement on tables wait.
func (f *faultyStore) lock(tables ...string) (release func()) {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	_, err = connection.Exec(f.t.Context(), `BEGIN; LOCK TABLE `+strings.Join(tables, ", "))
	require.NoError(f.t, err)
	return func() { require.NoError(f.t, connection.Close(context.Background())) }
}

// shutDown ends PostgreSQL as an operator would: those who are connected are
// told so.
func (f *faultyStore) shutDown() {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	var pid string
	require.NoError(f.t, connection.QueryRow(f.t.Context(), `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)`).Scan(&pid))
	require.NoError(f.t, connection.Close(context.Background()))
	number, err := strconv.Atoi(pid)
	require.NoError(f.t, err)
	require.NoError(f.t, syscall.Kill(number, syscall.SIGINT))
	require.Eventually(f.t, func() bool {
		_, err := pgx.Connect(f.t.Context(), f.adminURL)
		return errors.Is(err, syscall.ECONNREFUSED)
	}, patience, 5*time.Millisecond)
}

// TestHealth_AnswersAtOnceWhileBothStoresAreFrozen measures the best of some
// answers: the machine may be busy, but an answer that asks a store is never
// quick.
func TestHealth_AnswersAtOnceWhileBothStoresAreFrozen(t *testing.T) {
	t.Parallel()
	d, postgres := deployAlone(t)
	web := d.start("web")
	web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy")
	require.NoError(t, postgres.Freeze())
	t.Cleanup(func() { require.NoError(t, postgres.Thaw()) })
	require.NoError(t, d.redis.Freeze())
	t.Cleanup(func() { require.NoError(t, d.redis.Thaw()) })
	web.eventually(func() bool {
		return web.health().Checks["redis"].Status == "degraded" && web.health().Status == "error"
	}, "tells of both")

	best := time.Hour
	for range 20 {
		for _, address := range []string{web.ops, web.url} {
			asked := time.Now()
			require.Equal(t, http.StatusServiceUnavailable, status(address+"/health"))
			best = min(best, time.Since(asked))
		}
	}

	require.Less(t, best, 50*time.Millisecond)
	t.Logf("best of 40: %s", best)
	require.Equal(t, http.StatusOK, status(web.url+"/up"))
}
