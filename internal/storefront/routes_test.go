package storefront_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
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

func TestRoutes_EveryFormSaysWhyItCannotBeRead(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)

	for _, route := range site.formRoutes(t) {
		if route.Path == "/cart/holds/:claim" {
			continue // it is a button without fields
		}
		response, err := ada.http.Post(site.url+filled(route), "application/x-www-form-urlencoded", strings.NewReader("name=%zz"))
		require.NoError(t, err)

		require.Equal(t, http.StatusBadRequest, ada.read(response).status, route.Path)
	}
}

// Private

// formRoutes are the routes of the store that change something.
func (s site) formRoutes(t *testing.T) []*echo.Route {
	t.Helper()
	e := echo.New()
	s.pages.Routes(e)
	reads := []string{http.MethodGet, http.MethodHead, echo.RouteNotFound}
	forms := slices.DeleteFunc(e.Routes(), func(route *echo.Route) bool { return slices.Contains(reads, route.Method) })
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
