package throttle

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Result is how a request is handled.
type Result string

// A Passed request goes on. Throttled is answered with 429, Banned and Blocked
// with 403.
const (
	Passed    Result = "passed"
	Throttled Result = "throttled"
	Banned    Result = "banned"
	Blocked   Result = "blocked"
)

// Decision is the result of all rules for one request.
type Decision struct {
	Result Result
	Rule   string // the rule that decided; for Passed the throttle with the least left, or empty

	// Limit, Left, Period and Reset describe a throttle, and are 0 otherwise.
	Limit, Left int64
	Period      time.Duration
	Reset       time.Duration // until more requests may pass
}

// Refused reports that the request must not go on.
func (d Decision) Refused() bool { return d.Result != Passed }

// Status is the HTTP status of a refusal.
func (d Decision) Status() int {
	if d.Result == Throttled {
		return http.StatusTooManyRequests
	}
	return http.StatusForbidden
}

// SetHeaders sets the headers of a throttle: RateLimit and RateLimit-Policy as in
// draft-ietf-httpapi-ratelimit-headers-11, and for a refusal also Retry-After
// and the three older RateLimit- fields.
func (d Decision) SetHeaders(header http.Header) {
	if d.Limit <= 0 {
		return
	}
	reset := strconv.FormatInt(seconds(d.Reset), 10)
	header.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", d.Rule, d.Limit, seconds(d.Period)))
	header.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%s", d.Rule, d.Left, reset))
	if d.Result == Throttled {
		header.Set("Retry-After", reset)
		header.Set("RateLimit-Limit", strconv.FormatInt(d.Limit, 10))
		header.Set("RateLimit-Remaining", strconv.FormatInt(d.Left, 10))
		header.Set("RateLimit-Reset", reset)
	}
}

// Private

// seconds rounds up to at least one: a client that may wait 0 seconds retries
// at once.
func seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
