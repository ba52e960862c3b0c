package operators

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/web"
)

// Refusal is a response that says why a request gets no page.
type Refusal struct {
	Status int    `json:"status"`
	Title  string `json:"error"`
	Text   string `json:"detail"`
}

// Show sends a page, as JSON when the client asks for that.
func (p *Pages) Show(c echo.Context, view any, page templ.Component) error {
	return p.ShowAs(c, http.StatusOK, view, page)
}

// ShowAs is Show with a status.
func (*Pages) ShowAs(c echo.Context, status int, view any, page templ.Component) error {
	web.ForbidCaching(c)
	if web.WantsJSON(c.Request()) {
		return c.JSON(status, view)
	}
	return web.Render(c, status, page)
}

// Frame is what all pages share. Section is the name of the page in the navigation. Down
// says what the page could not read, and why.
func (p *Pages) Frame(c echo.Context, section, title string, down ...string) Frame {
	operator := OperatorOf(c)
	return Frame{
		Title: title, Section: section, Area: p.area, Areas: p.desk.areas, Operator: operator.Name, MayAct: operator.Level == Act,
		Host: p.desk.host, Version: p.desk.version, Now: time.Now().UTC(), Said: p.area.Said[c.QueryParam("said")], Down: down,
		Stylesheet: p.desk.resource("operators.css"), Script: p.desk.resource("operators.js"),
		Icon: p.desk.assets.Path("operators.svg"),
	}
}

// Back redirects to a page after an action, which then says what was done. Done is a name
// of Area.Said, or empty.
func Back(c echo.Context, path, done string) error {
	web.ForbidCaching(c)
	if done != "" {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + "said=" + done
	}
	if web.WantsJSON(c.Request()) {
		return c.JSON(http.StatusOK, map[string]string{"done": done, "see": path})
	}
	return c.Redirect(http.StatusSeeOther, path)
}

// DownText says that a backend does not reply. It leaves out the text of the error, which
// may hold an address.
func DownText(err error) string {
	name := "PostgreSQL"
	if errors.Is(err, taskqueue.ErrRedis) {
		name = "Redis"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return name + " does not reply in time. What it holds is not shown."
	}
	return name + " does not reply. What it holds is not shown. /health says more."
}

// Private

// refuse sends why a request does not pass the door.
func (p *Pages) refuse(c echo.Context, r Refusal) error {
	return p.ShowAs(c, r.Status, r, Refused(p.Frame(c, "", r.Title), r.Text))
}

// answerErrors answers what operators can mend with a page that says so. It returns
// other errors.
func (p *Pages) answerErrors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if err == nil || c.Response().Committed {
			return err
		}
		r, known := p.area.Refusal(err)
		if !known {
			return err
		}
		// The error may be that the time of the request is over.
		c.SetRequest(c.Request().WithContext(context.WithoutCancel(c.Request().Context())))
		return p.ShowAs(c, r.Status, r, Problem(p.Frame(c, "", r.Title), r.Text))
	}
}

func (d *Desk) resource(name string) Resource {
	return Resource{Path: d.assets.Path(name), Integrity: d.assets.Integrity(name)}
}
