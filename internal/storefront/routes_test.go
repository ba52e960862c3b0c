package storefront_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
)

func TestRoutes_EveryFormHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	limits := usualLimits()
	limits.Requests = 0 // switches off the limit of all requests together
	site := newLimitedSite(t, limits)

	for i, route := range site.formRoutes(t) {
		t.Run(route.Path, func(t *testing.T) {
			t.Parallel()
			shopper := site.shopperAt(t, "192.0.2."+strconv.Itoa(i))
			shopper.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

			refused := false
			for range 1300 { // more than any rule lets pass, even around the end of its period
				if refused = shopper.post(filled(route), nil).status == http.StatusTooManyRequests; refused {
					break
				}
			}

			require.True(t, refused, "no rule of limits.go names %s %s", route.Method, route.Path)
		})
	}
}

func TestRoutes_EveryFormRefusesOtherSites(t *testing.T) {
	t.Parallel()
	site := newSiteWith(t, setup{baseURL: "https://leeward.example"})

	for _, route := range site.formRoutes(t) {
		if route.Path == "/reminders/:token" {
			continue // mail programs post to it: the token is the permission
		}
		for _, foreign := range []http.Header{
			{"Sec-Fetch-Site": {"cross-site"}}, {"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://evil.leeward.example"}},
			{"Origin": {"https://evil.example"}}, {"Origin": {"null"}},
		} {
			require.Equal(t, http.StatusForbidden, site.send(t, route.Method, filled(route), foreign).status, route.Path)
		}
		own := site.send(t, route.Method, filled(route), http.Header{"Origin": {"https://leeward.example"}})
		require.NotEqual(t, http.StatusForbidden, own.status, route.Path)
	}
}

// TestRoutes_NoneWaitsLongerForRedisThanItsBudget asks every route while each reply
// of Redis takes a third of the budget. A call beyond the budget takes a third more,
// so the allowance for a route's own time is smaller.
func TestRoutes_NoneWaitsLongerForRedisThanItsBudget(t *testing.T) {
	t.Parallel()
	const latency, budget, own = 400 * time.Millisecond, 1200 * time.Millisecond, 350 * time.Millisecond
	server := stacktest.Redis(t)
	address, err := url.Parse(server.URL())
	require.NoError(t, err)
	proxy := toxiproxy.NewProxy(quiet(toxiproxy.NewServer, toxiproxy.NewMetricsContainer(nil)), "redis", "127.0.0.1:0", address.Host)
	require.NoError(t, proxy.Start())
	t.Cleanup(proxy.Stop)
	address.Host = proxy.Listen
	redis := failopen.Options{
		URL: address.String(), Timeout: 2 * budget, DialTimeout: 5 * time.Second,
		PoolSize: 50, MinIdle: 20, // ready, because a new connection waits for several replies
	}
	site := newSiteWith(t, setup{limits: usualLimits(), budget: budget, redis: redis})
	sale := site.startSale(t, 50)
	var routes []*echo.Route
	for _, route := range site.routes(t) {
		if route.Method != echo.RouteNotFound {
			routes = append(routes, route)
		}
	}
	shoppers, forms := make([]*shopper, len(routes)), make([]url.Values, len(routes))
	for i := range routes {
		shoppers[i] = site.shopperAt(t, "192.0.2."+strconv.Itoa(i))
		shoppers[i].http.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
		shoppers[i].add("kelp-soap", 1)
		forms[i] = with(contact(), shoppers[i].review())
		forms[i].Set("variant_id", strconv.FormatInt(site.variant(t, "riggers-knife"), 10))
		forms[i].Set("quantity", "1")
		shoppers[i].http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	_, err = proxy.Toxics.AddToxicJson(strings.NewReader(
		fmt.Sprintf(`{"type": "latency", "stream": "downstream", "attributes": {"latency": %d}}`, latency.Milliseconds())))
	require.NoError(t, err)
	path := strings.NewReplacer("/sales/:sale/holds", sale.path, "/products/:slug", "/products/harbour-enamel-mug",
		"/categories/:slug", "/categories/galley", ":variant", "1", ":claim", uuid.NewString(), ":token", "1",
		":file", "1.svg", ":id", "1", "*", "1")

	ask := func(t *testing.T, i int, route *echo.Route) {
		t.Parallel()
		for try := 1; ; try++ {
			forms[i].Set("claim_id", uuid.NewString())
			body := strings.NewReader(forms[i].Encode())
			request, err := http.NewRequestWithContext(t.Context(), route.Method, site.url+path.Replace(route.Path), body)
			require.NoError(t, err)
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			started := time.Now()
			response, err := shoppers[i].http.Do(request)
			took := time.Since(started)
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())

			require.Less(t, response.StatusCode, http.StatusInternalServerError)
			if try == 3 || took < budget+own { // the machine may be busy
				require.Less(t, took, budget+own)
				if route.Path == "/products/:slug" {
					require.Greater(t, took, latency, "it does wait for Redis")
				}
				return
			}
		}
	}
	t.Run("routes", func(t *testing.T) {
		for i, route := range routes {
			t.Run(route.Method+" "+route.Path, func(t *testing.T) { ask(t, i, route) })
		}
	})
	require.False(t, site.guard.Status().Open, "Redis is slow, and not unavailable")
}

func TestRoutes_EveryFormSaysWhyItCannotBeRead(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)

	for _, route := range site.formRoutes(t) {
		if route.Path == "/cart/holds/:claim" || route.Path == "/reminders/:token" {
			continue // they are buttons without fields
		}
		response, err := ada.http.Post(site.url+filled(route), "application/x-www-form-urlencoded", strings.NewReader("name=%zz"))
		require.NoError(t, err)

		require.Equal(t, http.StatusBadRequest, ada.read(response).status, route.Path)
	}
}

// Private

// routes are all routes of the store.
func (s site) routes(t *testing.T) []*echo.Route {
	t.Helper()
	e := echo.New()
	s.pages.Routes(e)
	return e.Routes()
}

// formRoutes are the routes of the store that change something.
func (s site) formRoutes(t *testing.T) []*echo.Route {
	t.Helper()
	reads := []string{http.MethodGet, http.MethodHead, echo.RouteNotFound}
	forms := slices.DeleteFunc(s.routes(t), func(route *echo.Route) bool { return slices.Contains(reads, route.Method) })
	require.NotEmpty(t, forms)
	return forms
}

var parameter = regexp.MustCompile(`:[a-z]+`)

// filled is the path of a route with its parameters filled in.
func filled(route *echo.Route) string { return parameter.ReplaceAllString(route.Path, "1") }

// send sends a request without a body, and follows no redirect.
func (s site) send(t *testing.T, method, path string, header http.Header) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	require.NoError(t, err)
	maps.Copy(request.Header, header)
	client := &http.Client{
		Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	return s.shopper(t).read(response)
}

// quiet makes the server of toxiproxy with the zero logger, which logs nothing.
// The compiler infers its type, so that the logger's library is not imported.
func quiet[Metrics, Logger any](newServer func(Metrics, Logger) *toxiproxy.ApiServer, metrics Metrics) *toxiproxy.ApiServer {
	var logger Logger
	return newServer(metrics, logger)
}
