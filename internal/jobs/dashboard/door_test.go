package dashboard

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"slipway/internal/operators"
	"slipway/internal/throttle"
)

func TestDoor_IsClosedWithoutALogin(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *deskOptions) { o.Login = operators.Login{} })

	for _, header := range [][]string{{"Authorization", ""}, nil, {"Authorization", "Basic Og=="}} { // the last one is empty user and password
		status, body := d.ask(t, http.MethodGet, "/jobs", nil, header...)

		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, body, "JOBS_DASHBOARD_PASSWORD")
	}
}

func TestDoor_EveryRouteNeedsTheLogin(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	e := echo.New()
	d.dashboard.Routes(e)

	require.Greater(t, len(e.Routes()), 20)
	for _, route := range e.Routes() {
		d.get(t, "/jobs/enqueue")                                                      // the right login forgets wrong ones
		for _, authorization := range []string{"", "Basic YWRhOndyb25n", "Bearer x"} { // ada with a wrong password
			status, header, _ := d.send(t, route.Method, route.Path, form("id", "pg:1"), "Authorization", authorization)

			require.Equal(t, http.StatusUnauthorized, status, "%s %s", route.Method, route.Path)
			require.Contains(t, header.Get("WWW-Authenticate"), "Basic")
			require.Contains(t, header.Get("Cache-Control"), "no-store")
		}
	}
}

func TestDoor_WhoMayLookMayNotAct(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *deskOptions) {
		o.Authorize = func(r *http.Request) operators.Operator {
			switch r.Header.Get("Role") {
			case "reader":
				return operators.Operator{Name: "grace", Level: operators.Look}
			case "writer":
				return operators.Operator{Name: "ada", Level: operators.Act}
			}
			return operators.Operator{}
		}
	})
	id := d.enqueue(t, printArgs{Page: 1})
	e := echo.New()
	d.dashboard.Routes(e)

	for _, route := range e.Routes() {
		if route.Method == http.MethodPost {
			status, body := d.ask(t, route.Method, route.Path, form("id", id.String(), "action", "discard"), "Role", "reader")

			require.Equal(t, http.StatusForbidden, status, route.Path)
			require.Contains(t, body, "You may look, and not act")
		}
	}
	require.Equal(t, "available", d.state(t, id))
	status, body := d.ask(t, http.MethodGet, "/jobs/work", nil, "Role", "reader")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, `name="action"`, "no buttons for who may not act")
	require.NotContains(t, body, "/jobs/confirm?")
	status, _ = d.ask(t, http.MethodGet, "/jobs", nil)
	require.Equal(t, http.StatusUnauthorized, status, "the login of the configuration does not open a door with a hook")
	status, _ = d.ask(t, http.MethodPost, "/jobs/act", form("action", "discard", "id", id.String()), "Role", "writer")
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, "gone", d.state(t, id))
}

func TestDoor_LimitsWrongPasswords(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	try := func(password string) (status int, retryAfter string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+"/jobs/workers", nil)
		require.NoError(t, err)
		request.SetBasicAuth("ada", password)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode, response.Header.Get("Retry-After")
	}

	for range 10 {
		status, _ := try("guess")
		require.Equal(t, http.StatusUnauthorized, status)
	}

	status, retryAfter := try("correct horse")
	require.Equal(t, http.StatusTooManyRequests, status, "the right one too: else the reply tells which one is right")
	require.NotEmpty(t, retryAfter)
	require.NotContains(t, d.log.String(), "guess")
}

func TestDoor_CountsANetworkOfIPv6AsOneClient(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(options *deskOptions) {
		loopback := netip.MustParsePrefix("127.0.0.0/8")
		options.Clients = throttle.NewClients([]netip.Prefix{loopback}, 48, slog.New(slog.DiscardHandler))
	})
	try := func(client, password string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+"/jobs/workers", nil)
		require.NoError(t, err)
		request.Header.Set("X-Forwarded-For", client)
		request.SetBasicAuth("ada", password)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}

	for i := range 10 {
		require.Equal(t, http.StatusUnauthorized, try(fmt.Sprintf("2001:db8:1:%d::1", i), "guess"))
	}

	require.Equal(t, http.StatusTooManyRequests, try("2001:db8:1:ffff::1", "correct horse"))
	require.Equal(t, http.StatusOK, try("2001:db8:2::1", "correct horse"))
	require.Equal(t, http.StatusOK, try("192.0.2.1", "correct horse"))
}

func TestDoor_RefusesInJSONToo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	status, body := d.ask(t, http.MethodGet, "/jobs", nil, "Accept", "application/json", "Authorization", "")

	require.Equal(t, http.StatusUnauthorized, status)
	require.JSONEq(t, `{"status":401,"error":"Log in first","detail":"These pages are for operators, with the user and the password of `+
		`JOBS_DASHBOARD_USER and JOBS_DASHBOARD_PASSWORD."}`, body)
}

func TestDoor_SaysNothingThatTheAddressInvents(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	body := d.get(t, "/jobs/workers?said="+url.QueryEscape("call 0900 now"))

	require.NotContains(t, body, "0900")
}
