package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

func TestStore_SellsOnceBothBackendsAreThere(t *testing.T) {
	t.Parallel()
	d, postgres := deployStoreAlone(t)
	require.NoError(t, postgres.Kill())
	require.NoError(t, d.redis.Kill())

	web, workerPG, workerRedis := d.start("web"), d.start("worker-pg"), d.start("worker-redis")
	for _, p := range []*appProcess{web, workerPG, workerRedis} {
		p.eventually(func() bool { return p.health().Status == "error" }, "reports that it cannot work")
		p.eventually(func() bool { return status(p.ops+"/up") == http.StatusOK }, "is up and waits")
	}
	require.NoError(t, postgres.Restart(t.Context()))
	require.NoError(t, d.redis.Restart(t.Context()))

	for _, p := range []*appProcess{web, workerPG, workerRedis} {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
	variant, _ := d.variantWith("kelp-soap", 5)
	ada := newVisitor(t, web.url)
	require.Equal(t, http.StatusOK, ada.add(variant))
	code, _, _ := ada.post("/orders", ada.fillIn(workingCard))
	require.Equal(t, http.StatusOK, code)
	workerPG.eventually(func() bool { return len(d.mails()) == 1 }, "sends the mail")
}

func TestStore_SellsWithoutRedis(t *testing.T) {
	t.Parallel()
	faults := map[string]struct{ begin, end func(*devstack.Redis) error }{
		"stopped": {(*devstack.Redis).Kill, func(r *devstack.Redis) error { return r.Restart(context.Background()) }},
		"frozen":  {(*devstack.Redis).Freeze, (*devstack.Redis).Thaw},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deployStore(t)
			web, workerPG, _ := d.startAll()
			variant, _ := d.variantWith("kelp-soap", 5)
			ada := newVisitor(t, web.url)

			require.NoError(t, fault.begin(d.redis))
			for range 3 {
				for _, path := range []string{"/", "/categories/shore", "/products/kelp-soap", "/search?q=soap", "/cart"} {
					code, _ := ada.get(path)
					require.Equal(t, http.StatusOK, code, path)
				}
			}
			require.Equal(t, http.StatusOK, ada.add(variant))
			code, _, _ := ada.post("/orders", ada.fillIn(workingCard))

			require.Equal(t, http.StatusOK, code)
			web.eventually(func() bool { return web.health().Status == "degraded" }, "is degraded")
			require.Equal(t, http.StatusOK, status(web.url+"/up"))
			workerPG.eventually(func() bool { return len(d.mails()) == 1 }, "sends the mail")
			require.Contains(t, web.output.String(), `msg="Backend call failed" backend=redis `)
			require.Less(t, strings.Count(web.output.String(), "Backend call failed"), 15, "an outage must not flood the log")

			require.NoError(t, fault.end(d.redis))
			web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy again")
			_, product := d.variantWith("kelp-soap", 5)
			stream := openEvents(t, ada, "/live?products="+itoa(product))
			stream.await(t, "retry: ")
			web.eventually(func() bool {
				require.Equal(t, http.StatusOK, ada.add(variant))
				code, _, _ := ada.post("/orders", ada.fillIn(workingCard))
				require.Equal(t, http.StatusOK, code)
				return strings.Contains(strings.Join(drain(stream), ""), "variant-stock-")
			}, "sends live updates again")
		})
	}
}

func TestStore_ShowsItsErrorPageWhenTheDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	faults := map[string]struct {
		begin, end func(*devstack.Postgres) error
	}{
		"stopped": {(*devstack.Postgres).Kill, func(p *devstack.Postgres) error { return p.Restart(context.Background()) }},
		"frozen":  {(*devstack.Postgres).Freeze, (*devstack.Postgres).Thaw},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, postgres := deployStoreAlone(t)
			web := d.start("web", "REQUEST_TIMEOUT=1s", "PAYMENT_TIMEOUT=500ms")
			web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy")
			require.Equal(t, http.StatusOK, status(web.url+"/"))

			require.NoError(t, fault.begin(postgres))
			web.eventually(func() bool { return web.health().Status == "error" }, "reports that it cannot serve")

			// /health reports the last probe, and does not wait for the database.
			asked := time.Now()
			require.Equal(t, http.StatusServiceUnavailable, status(web.url+"/health"))
			require.Less(t, time.Since(asked), 400*time.Millisecond)
			require.Equal(t, http.StatusOK, status(web.url+"/up"))

			response, err := http.Get(web.url + "/products/kelp-soap") // not seen before, so not cached
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
			require.NotEmpty(t, response.Header.Get("Retry-After"))
			_, body := newVisitor(t, web.url).get("/products/harbour-enamel-mug")
			require.Contains(t, body, "Back in a moment")
			require.NotContains(t, body, "127.0.0.1")

			require.NoError(t, fault.end(postgres))
			web.eventually(func() bool { return status(web.url+"/") == http.StatusOK && web.health().Status == "ok" }, "serves again")
		})
	}
}
