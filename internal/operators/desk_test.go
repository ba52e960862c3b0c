package operators

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"slipway/internal/throttle"
)

var errPaper = errors.New("no paper")

func TestDesk_OneDoorOpensAllAreas(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "Jobs", "Ops")

	for range mostAttempts {
		status, _ := d.ask(t, "/Jobs", "guess")
		require.Equal(t, http.StatusUnauthorized, status)
	}

	status, _ := d.ask(t, "/Ops", "correct horse")
	require.Equal(t, http.StatusTooManyRequests, status, "wrong passwords are counted over all areas")
}

func TestDesk_HeaderLinksToTheAreasThatAreServed(t *testing.T) {
	t.Parallel()
	both, one := newDesk(t, "Jobs", "Ops"), newDesk(t, "Jobs")

	_, ofBoth := both.ask(t, "/Ops", "correct horse")
	_, ofOne := one.ask(t, "/Jobs", "correct horse")

	require.Contains(t, ofBoth, `<a class="brand" href="/Jobs">Jobs</a>`)
	require.Contains(t, ofBoth, `<a class="brand" href="/Ops" aria-current="true">Ops</a>`)
	require.Contains(t, ofBoth, `data-refresh-every="10"`)
	require.NotContains(t, ofOne, "/Ops")
}

func TestDesk_AnswersTheErrorsOfAnArea(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "Jobs")

	status, body := d.ask(t, "/Jobs?fail=yes", "correct horse")

	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, body, "Fill the tray.<br> Then try again.")
}

// desk serves areas of one page each, at the path of their name.
type desk struct{ *httptest.Server }

func newDesk(t *testing.T, areas ...string) *desk {
	t.Helper()
	shared, err := NewDesk(Options{
		Login: Login{User: "ada", Password: "correct horse"}, Clients: throttle.NewClients(nil, 64, slog.New(slog.DiscardHandler)),
		PageTimeout: time.Second, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	e := echo.New()
	for _, name := range areas {
		pages := shared.Open(Area{
			Name: name, Path: "/" + name, Sections: []Section{{Name: "Start", Path: "/" + name, Key: "s"}}, RefreshEvery: 10 * time.Second,
			Refusal: func(err error) (Refusal, bool) {
				return Refusal{Status: http.StatusConflict, Title: "No paper", Text: "Fill the tray.\nThen try again."}, errors.Is(err, errPaper)
			},
		})
		e.GET("/"+name, func(c echo.Context) error {
			if c.QueryParam("fail") != "" {
				return errPaper
			}
			return pages.Show(c, map[string]string{}, Page(pages.Frame(c, "Start", "Start")))
		}, pages.For(Look)...)
	}
	d := &desk{httptest.NewServer(e)}
	t.Cleanup(d.Close)
	return d
}

func (d *desk) ask(t *testing.T, path, password string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+path, nil)
	require.NoError(t, err)
	request.SetBasicAuth("ada", password)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}
