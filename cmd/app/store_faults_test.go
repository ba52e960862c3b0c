package main

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

func TestStore_SellsOnceBothBackendsAreThere(t *testing.T) {
	t.Parallel()
	d, postgres := deployStoreAlone(t)
	web, workerPG := d.startBeforeBackends(postgres)
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
			requireNoFlood(t, web.output.String())

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
	pages := [2]string{"/products/kelp-soap", "/products/harbour-enamel-mug"} // not seen before, so not cached
	showsErrorPages(t, deployStoreAlone, pages, "Back in a moment", "PAYMENT_TIMEOUT=500ms")
}
