package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"slipway/internal/assets"
	"slipway/internal/live"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

// testPages are the pages of the test application.
type testPages struct {
	board    *board
	hub      *live.Hub
	assets   *assets.Assets
	visitor  *web.SignedCookie
	timeout  time.Duration
	slowWork time.Duration
}

var errEmptyNote = errors.New("a note is not empty")

func newTestPages(b *backends, board *board, hub *live.Hub, settings *testSettings) (*testPages, error) {
	loaded, err := assets.Load(testFiles("assets"))
	if err != nil {
		return nil, err
	}
	if b.config.AssetsDir != "" {
		if err := loaded.Bridge(b.config.AssetsDir); err != nil {
			return nil, err
		}
	}
	secure := strings.HasPrefix(b.config.BaseURL, "https://")
	return &testPages{
		board: board, hub: hub, assets: loaded,
		visitor: web.NewSignedCookie(b.config.SecretKeyBase, visitorCookie, time.Hour, secure),
		timeout: b.config.RequestTimeout, slowWork: settings.SlowWork,
	}, nil
}

// Routes are a public page, a page that is not cached, a form, a slow page and
// the event stream.
func (p *testPages) Routes(e *echo.Echo) {
	e.GET("/live", func(c echo.Context) error {
		p.hub.Serve(c.Response(), c.Request(), live.Subscription{Topics: []string{notesTopic}, Outlive: web.Outlive(c)})
		return nil
	})

	page := []echo.MiddlewareFunc{web.Deadline(p.timeout), web.RetryRead}
	public := []echo.MiddlewareFunc{web.Share(web.Sharing{Fresh: time.Minute}), web.Deadline(p.timeout), web.RetryRead}
	e.GET("/", p.showBoard, public...)
	e.GET("/thanks", p.showThanks, page...)
	e.POST("/notes", p.addNote, page...)
	e.GET("/slow", p.showSlowly, page...)
}

// Assets are the files below testdata.
func (p *testPages) Assets() *assets.Assets { return p.assets }

// ErrorStatus knows the only error of the board.
func (*testPages) ErrorStatus(err error) int {
	if errors.Is(err, errEmptyNote) {
		return http.StatusUnprocessableEntity
	}
	return 0
}

// ErrorPage shows the status and the id of the request.
func (*testPages) ErrorPage(_ echo.Context, status int, requestID string) templ.Component {
	return htmlPage(fmt.Sprintf("<h1>%d %s</h1> request %s", status, http.StatusText(status), requestID))
}

// PrivateCookies: whoever was thanked is known.
func (*testPages) PrivateCookies() []string { return []string{visitorCookie} }

// CrossOriginRoutes: no other site may post.
func (*testPages) CrossOriginRoutes() []string { return nil }

// Limits has a rule of each kind that an operator can set.
func (*testPages) Limits(settings throttle.Settings) []throttle.Rule {
	rules := []throttle.Rule{
		throttle.Safelist("safelist", throttle.In(settings.Safelist)),
		throttle.Blocklist("blocklist", throttle.In(settings.Blocklist)),
		throttle.Throttle("req-ip", settings.Requests, settings.RequestPeriod, func(r *throttle.Request) string {
			if r.Path == "/live" {
				return ""
			}
			return r.IP
		}),
	}
	if settings.Countries != nil {
		rules = append(rules, throttle.Blocklist("country", settings.Countries.Refuses))
	}
	return rules
}

// Private

const visitorCookie = "visitor"

// showBoard is the public page. It greets visitors who were thanked, and nobody else
// gets their page.
func (p *testPages) showBoard(c echo.Context) error {
	ctx := c.Request().Context()
	web.Tag(c, "board")
	title, err := p.board.title(ctx)
	if err != nil {
		return err
	}
	motto, err := p.board.motto(ctx)
	if err != nil {
		return err
	}
	html := "<h1>" + title + "</h1>" + motto + "<p hidden data-when-stale>This page may be a few minutes old.</p>"
	if _, known := p.visitor.Value(c); known {
		html += `<p id="visitor">Welcome.</p>`
	}
	form := `<form method="post" action="/notes"><input name="body"></form>`
	return web.Render(c, http.StatusOK, htmlPage(html+form))
}

func (p *testPages) showThanks(c echo.Context) error {
	title, err := p.board.title(c.Request().Context())
	if err != nil {
		return err
	}
	p.visitor.Set(c, "ada")
	return web.Render(c, http.StatusOK, htmlPage("<h1>"+title+"</h1>Thank you."))
}

func (p *testPages) addNote(c echo.Context) error {
	body := c.FormValue("body")
	if body == "" {
		return errEmptyNote
	}
	if err := p.board.add(c.Request().Context(), c.FormValue("key"), body); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, "/thanks")
}

func (p *testPages) showSlowly(c echo.Context) error {
	if err := wait(c.Request().Context(), p.slowWork); err != nil {
		return err
	}
	return web.Render(c, http.StatusOK, htmlPage("Done at last."))
}

func htmlPage(html string) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "<!doctype html><title>The board</title><main>"+html+"</main>")
		return err
	})
}
