package throttle

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Result is what is to become of a request.
type Result string

// Passed goes on; Throttled is 429; Banned and Blocked are 403.
const (
	Passed    Result = "passed"
	Throttled Result = "throttled"
	Banned    Result = "banned"
	Blocked   Result = "blocked"
)

// Decision is the answer to one request.
type Decision struct {
	Result Result
	Rule   string // that decided, or of those that let it pass the one with the least left; may be empty

	// Of a throttle.
	Limit, Left int64
	Period      time.Duration
	Reset       time.Duration // until there is more
}

// Refused tells that the request goes no further.
func (d Decision) Refused() bool { return d.Result != Passed }

// Status is the HTTP status of a refusal.
func (d Decision) Status() int {
	if d.Result == Throttled {
		return http.StatusTooManyRequests
	}
	return http.StatusForbidden
}

// SetHeaders tells a client how it stands: RateLimit and RateLimit-Policy as in
// draft-ietf-httpapi-ratelimit-headers-11, and for refusals Retry-After and
// the three older fields.
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

// seconds is at least one: a client told to wait for none comes at once.
func seconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
