package operators

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// Level is what a request may do.
type Level int

// The levels. Each includes the one before.
const (
	None Level = iota // nothing: the request gets status 401
	Look              // read every screen
	Act               // change work, queues and workers
)

// Operator is who sends a request. The name is written to the list of actions.
type Operator struct {
	Name  string
	Level Level
}

// Authorize returns who sends a request. An application that has a login for its
// operators gives one, in place of the user and the password of the configuration.
// It is asked for every request, and again for every action.
type Authorize func(r *http.Request) Operator

// Login is the user and the password of an operator who may do everything. With an
// empty one of them, nobody may enter.
type Login struct {
	User     string
	Password string
}

// OperatorOf is who sends a request that has passed the door.
func OperatorOf(c echo.Context) Operator {
	operator, _ := c.Get(operatorKey).(Operator)
	return operator
}

// Private

// operatorKey is where a request keeps its operator.
const operatorKey = "operator"

// door lets operators in alone, and those who may act alone to actions. What it
// refuses, it refuses before anything is read.
func (p *Pages) door(least Level) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			operator, refused := p.desk.identify(c)
			switch {
			case refused != nil:
				return p.refuse(c, *refused)
			case operator.Level < least:
				return p.refuse(c, Refusal{Status: http.StatusForbidden, Title: "You may look, and not act",
					Text: "Your login may read these pages. Actions need a login that may act."})
			}
			c.Set(operatorKey, operator)
			return next(c)
		}
	}
}

// identify returns the operator of a request, or why it is refused.
func (d *Desk) identify(c echo.Context) (Operator, *Refusal) {
	if d.authorize != nil {
		operator := d.authorize(c.Request())
		if operator.Level == None {
			return operator, &Refusal{Status: http.StatusUnauthorized, Title: "Log in first", Text: "These pages are for operators."}
		}
		return operator, nil
	}
	if d.login.User == "" || d.login.Password == "" {
		return Operator{}, &Refusal{Status: http.StatusUnauthorized, Title: "These pages are closed",
			Text: "Nobody can log in until JOBS_DASHBOARD_USER and JOBS_DASHBOARD_PASSWORD are set."}
	}
	client := d.clients.Bucket(d.clients.Address(c.Request()))
	if wait := d.attempts.refusedFor(client, time.Now()); wait > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		return Operator{}, &Refusal{Status: http.StatusTooManyRequests, Title: "Too many wrong passwords",
			Text: "Wait a minute, then try again."}
	}
	user, password, given := c.Request().BasicAuth()
	if given && d.login.matches(user, password) {
		d.attempts.succeeded(client)
		return Operator{Name: user, Level: Act}, nil
	}
	if given {
		d.attempts.failed(client, time.Now())
		d.log.WarnContext(c.Request().Context(), "Login of an operator failed")
	}
	c.Response().Header().Set("WWW-Authenticate", `Basic realm="Operators", charset="UTF-8"`)
	return Operator{}, &Refusal{Status: http.StatusUnauthorized, Title: "Log in first",
		Text: "These pages are for operators, with the user and the password of JOBS_DASHBOARD_USER and JOBS_DASHBOARD_PASSWORD."}
}

// matches compares in a time that tells nothing about user and password: digests have
// the same length, and both are always compared.
func (l Login) matches(user, password string) bool {
	return sameDigest(user, l.User)&sameDigest(password, l.Password) == 1
}

func sameDigest(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
