package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

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
