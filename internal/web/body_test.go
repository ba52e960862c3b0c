package web

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/edge/connection"
)

func TestNew_LimitsBodies(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.POST("/form", func(c echo.Context) error {
			content, err := io.ReadAll(c.Request().Body)
			if err != nil {
				return fmt.Errorf("read form: %w", err)
			}
			return c.String(http.StatusOK, fmt.Sprint(len(content)))
		})
		e.POST("/button", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	})
	body := func(size int) io.Reader { return strings.NewReader(strings.Repeat("x", size)) }
	chunked := func(size int) io.Reader { return io.MultiReader(body(size)) } // without Content-Length

	require.Equal(t, "1024", site.send(t, http.MethodPost, "/form", body(1024)).body)
	require.Equal(t, "1024", site.send(t, http.MethodPost, "/form", chunked(1024)).body)
	require.Equal(t, "0", site.send(t, http.MethodPost, "/form", nil).body)
	for _, large := range []io.Reader{body(1025), chunked(1025), chunked(10 << 20)} {
		answer := site.send(t, http.MethodPost, "/form", large)
		require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode)
		require.Contains(t, answer.body, "<h1>413</h1>")
	}
	// The Content-Length alone is enough, even if the handler does not read the body.
	require.Equal(t, http.StatusRequestEntityTooLarge, site.send(t, http.MethodPost, "/button", body(1025)).StatusCode)
}

func TestParseForm_SaysWhyAFormIsNotRead(t *testing.T) {
	t.Parallel()
	site := newSite(t, func(e *echo.Echo) {
		e.POST("/form", func(c echo.Context) error {
			if err := ParseForm(c); err != nil {
				return err
			}
			return c.String(http.StatusOK, c.FormValue("name"))
		})
	})
	send := func(body io.Reader) answer {
		return site.send(t, http.MethodPost, "/form", body, "Content-Type", "application/x-www-form-urlencoded")
	}

	require.Equal(t, "Ada", send(strings.NewReader("name=Ada&name=Eve")).body)
	require.Equal(t, http.StatusBadRequest, send(strings.NewReader("name=%zz")).StatusCode)
	tooLarge := io.MultiReader(strings.NewReader("name=" + strings.Repeat("x", 1024))) // without Content-Length
	require.Equal(t, http.StatusRequestEntityTooLarge, send(tooLarge).StatusCode)
}

func TestLimitBody_EndsARequestThatIsSentTooSlowly(t *testing.T) {
	t.Parallel()
	e := echo.New()
	e.HTTPErrorHandler = handleError(options(t, &stacktest.Journal{}), testPages(nil))
	e.Use(limitBody(1024))
	e.POST("/form", ParseForm)
	server := startGuarded(t, connection.Options{ReadTimeout: 100 * time.Millisecond}, e)
	client, err := net.Dial("tcp", server.address)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.SetDeadline(time.Now().Add(10*time.Second)))

	_, err = fmt.Fprint(client, "POST /form HTTP/1.1\r\nHost: test\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nx=")
	require.NoError(t, err)
	answer, err := io.ReadAll(client)

	// ReadAll returns, so the connection is closed too.
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 408 Request Timeout\r\n")
}
