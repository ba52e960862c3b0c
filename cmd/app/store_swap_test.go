package main

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/mail"
	"slipway/internal/postgres/pgtest"
)

const (
	popular = "harbour-enamel-mug" // bought all the time
	scarce  = "passage-logbook"    // of three variants, on the pages that stay open
	plenty  = 10_000

	openPages = 3

	silentCard = "4000000000000341"
	longForm   = 50_000 // bytes
)

func TestStoreSwap_DropsNoRequest(t *testing.T) {
	t.Parallel()
	d := deployForSwaps(t)
	mug, _ := d.variantWith(popular, plenty)
	logbooks := d.variantsWith(scarce, 5)
	proxy := newDrainingProxy(t)
	running := d.release("v1")
	running.serve(proxy, nil)
	running.startWorkers()
	load := startLoad(t, proxy.url, mug)
	seller := load.customer()
	all := []*release{running}

	// The first two are deploys as Kamal does them. In the third, the old web gets
	// SIGTERM while its requests still run, so it has to finish all of them itself.
	for i, version := range []string{"v2", "v1", "v2"} {
		sell := func() { seller.buy(scarce, logbooks[i], 1) }
		sell()
		old := running
		running = d.release(version)
		all = append(all, running)
		running.serve(proxy, load.busy)
		atWork, drained := old.target.atWork(time.Hour), "by itself"

		if i < 2 {
			sell() // while the open pages still listen to the old web
			took, cut := old.target.drain(drainLimit)
			require.False(t, cut, "requests outlived the drain")
			drained = "in " + took.Round(time.Millisecond).String()
		} else {
			old.web.eventually(old.hasAllRequests, "has got all requests")
			require.NotZero(t, old.target.open())
		}
		var selling sync.WaitGroup
		selling.Go(sell) // while the pages come back
		exited := old.web.stop()
		selling.Wait()
		require.Less(t, exited, stopLimit)
		_, cut := old.target.drain(time.Second)
		require.False(t, cut, "the proxy still waits for a process that has exited")

		running.startWorkers()
		pg, redis := old.workerPG.stop(), old.workerRedis.stop()
		load.pagesShow(t, logbooks[i], d.stock(logbooks[i]))
		t.Logf("%s -> %s: at work %v, drained %s; exited after SIGTERM: web %s, worker-pg %s, worker-redis %s", old.version, version,
			atWork, drained, exited.Round(time.Millisecond), pg.Round(time.Millisecond), redis.Round(time.Millisecond))
	}
	load.finish()
	for _, variant := range logbooks {
		require.Less(t, d.stock(variant), int64(5))
		require.EqualValues(t, 5-load.unitsOf[variant], d.stock(variant))
		load.pagesShow(t, variant, d.stock(variant))
	}
	load.leave()

	require.Empty(t, load.failures)
	load.report(t, all)
	d.requireOrders(load, all)
	for _, one := range all {
		require.NotZero(t, one.target.served)
		for _, p := range []*appProcess{one.web, one.workerPG, one.workerRedis} {
			require.NotContains(t, p.output.String(), "DATA RACE")
		}
	}
}

func TestStoreSwap_AVersionThatNeverComesUpChangesNothing(t *testing.T) {
	t.Parallel()
	d := deployForSwaps(t)
	mug, _ := d.variantWith(popular, plenty)
	proxy := newDrainingProxy(t)
	running := d.release("v1")
	running.serve(proxy, nil)
	running.startWorkers()
	load := startLoad(t, proxy.url, mug)
	broken := d.release("v2", "DATABASE_URL="+pgtest.Empty(t))
	// A first probe that takes too long leaves /up open until the next.
	broken.web.eventually(func() bool {
		_, answer := broken.target.up(t.Context())
		return strings.Contains(answer, "run app migrate")
	}, "has seen the empty database")

	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	err := proxy.swap(ctx, broken.target, load.busy)

	require.ErrorContains(t, err, "503 Service Unavailable: ")
	require.ErrorContains(t, err, "run app migrate")
	require.Less(t, broken.web.stop(), stopLimit)
	before := load.orders()
	running.web.eventually(func() bool { return load.orders() > before+3 }, "sells on")
	load.leave()
	require.Empty(t, load.failures)
	require.Zero(t, broken.target.served)
	load.report(t, []*release{running})
	d.requireOrders(load, []*release{running})
}

// Private

// deployForSwaps prepares a store that does not make a deploy wait for long.
func deployForSwaps(t *testing.T) *deployment {
	t.Helper()
	d := deployStore(t)
	d.prepareForSwaps()
	d.environment["PAYMENT_TIMEOUT"] = "2s"
	return d
}

// variantsWith are all variants of a product, with their stock set.
func (d *deployment) variantsWith(slug string, stock int) (variants []int64) {
	d.t.Helper()
	for i := range d.query(`SELECT count(*) FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = $1`, slug) {
		variants = append(variants, d.query(`
			UPDATE variants SET stock = $3
			WHERE id = (SELECT v.id FROM variants v JOIN products p ON p.id = v.product_id WHERE p.slug = $1 ORDER BY v.position LIMIT 1 OFFSET $2)
			RETURNING id`, slug, i, stock))
	}
	return variants
}

func (d *deployment) stock(variant int64) int64 {
	d.t.Helper()
	return d.query(`SELECT stock FROM variants WHERE id = $1`, variant)
}

// requireOrders checks that every order that a customer was shown is there, is
// paid for and confirmed once, and that the stock lacks what was sold.
func (d *deployment) requireOrders(l *load, all []*release) {
	d.t.Helper()
	sold := len(l.sold)
	require.NotZero(d.t, sold)
	require.EqualValues(d.t, sold, d.query(`SELECT count(*) FROM orders`))
	const ofOrders = `SELECT count(*) FROM river_job WHERE kind IN ('send_order_confirmation', 'capture_payment')`
	stacktest.Eventually(d.t, func() bool { return d.query(ofOrders+` AND state <> 'completed'`) == 0 }, "there are jobs left")
	require.EqualValues(d.t, 2*sold, d.query(ofOrders))
	require.Zero(d.t, d.query(`SELECT count(*) FROM orders WHERE state <> 'paid' OR confirmed_at IS NULL`))
	require.EqualValues(d.t, l.units, d.query(`SELECT sum(quantity) FROM order_lines`))
	require.EqualValues(d.t, l.unitsOf[l.variant], plenty-d.stock(l.variant))

	// A mail that was sent twice is stored once, so the jobs are counted, too.
	stored, err := mail.NewDirectory(d.mailDir, "").List(sold + 1)
	require.NoError(d.t, err)
	require.Len(d.t, stored, sold)
	confirmed, runs := map[string]bool{}, 0
	for _, one := range stored {
		confirmed[orderLink.FindString(one.Text)] = true
	}
	for path := range l.sold {
		require.True(d.t, confirmed[path], path)
	}
	for _, one := range all {
		runs += len(confirmation.FindAllString(one.workerPG.output.String(), -1))
	}
	require.Equal(d.t, sold, runs)
}

var (
	orderLink    = regexp.MustCompile(`/orders/\w+`)
	confirmation = regexp.MustCompile(`msg="Job .* kind=send_order_confirmation `)
)
