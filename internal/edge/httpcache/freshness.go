package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// lifetime is for how long a response stays fresh after it was generated, and
// whether it says so itself. Otherwise it is a guess from Last-Modified, which
// only some responses allow (RFC 9111 sections 4.2.1 and 4.2.2).
func (a *answer) lifetime() (fresh time.Duration, explicit bool) {
	switch {
	case a.directives.sharedMaxAge.given():
		return a.directives.sharedMaxAge.duration(), true
	case a.directives.maxAge.given():
		return a.directives.maxAge.duration(), true
	case len(a.header["Expires"]) > 0 && !a.targeted:
		expires, ok := parseDate(a.header.Get("Expires"))
		if !ok || len(a.header["Expires"]) > 1 {
			return 0, true
		}
		return max(expires.Sub(a.generated()), 0), true
	case a.directives.public || heuristicStatus(a.status):
		modified, ok := parseDate(a.header.Get("Last-Modified"))
		if !ok {
			return 0, false
		}
		return min(max(a.generated().Sub(modified)/heuristicShare, 0), maxHeuristic), false
	}
	return 0, false
}

// generated is the time of Date, or of receipt when Date is missing or invalid
// (RFC 9110 section 6.6.1).
func (a *answer) generated() time.Time {
	if date, ok := parseDate(a.header.Get("Date")); ok {
		return date
	}
	return a.received
}

// initialAge is the age of the response when it was received (RFC 9111 section
// 4.2.3: corrected_initial_age).
func (a *answer) initialAge() time.Duration {
	apparent := max(a.received.Sub(a.generated()), 0)
	// A Date has no fractions of a second.
	if apparent < time.Second {
		apparent = 0
	}
	return max(apparent, parseAge(a.header["Age"])+a.received.Sub(a.requested))
}

// verdict is what may be done with a stored response for a request.
type verdict int

const (
	validate   verdict = iota // ask the handler whether it is still good
	fresh                     // use it
	revalidate                // use it, and refresh it in the background
	accepted                  // it is stale, and the request accepts that
)

// judge decides about a stored response at a time (RFC 9111 sections 4.2.4 and
// 5.2.1, RFC 5861 section 3).
func (e *entry) judge(now time.Time, asked *directives) verdict {
	age := e.age(now)
	left := e.lifetime - age
	switch {
	case e.noCache, asked.noCache, asked.maxAge.given() && age > asked.maxAge.duration():
		return validate
	case left > 0:
		if left < asked.minFresh.duration() {
			return validate
		}
		return fresh
	case asked.maxStale.given() && !e.neverStale && !e.shared && -left <= asked.maxStale.duration():
		return accepted
	case e.staleWhileRevalidate.given() && !e.neverStale && -left <= e.staleWhileRevalidate.duration() && !asked.minFresh.given():
		return revalidate
	}
	return validate
}

// servesInsteadOfError reports whether the stored response may be served, stale, in
// place of an error of the handler. A response that does not say stale-if-error is
// served for as long as grace, except with s-maxage, which includes the meaning of
// proxy-revalidate (RFC 9111 section 5.2.2.10). An explicit stale-if-error or
// stale-while-revalidate counts for more than s-maxage, as it does in CDNs.
func (e *entry) servesInsteadOfError(now time.Time, asked *directives, grace time.Duration) bool {
	if e.neverStale || e.noCache || asked.noCache {
		return false
	}
	window := e.staleIfError
	if !window.given() && !e.shared && grace > 0 {
		window = delta(grace)
	}
	return window.given() && e.age(now)-e.lifetime <= window.duration()
}

// age is the current age (RFC 9111 section 4.2.3).
func (e *entry) age(now time.Time) time.Duration {
	return e.initialAge + max(now.Sub(e.received), 0)
}

// Private

const (
	heuristicShare = 10             // of the time since the last modification: a tenth
	maxHeuristic   = 24 * time.Hour // no guess is longer
)

// parseAge reads the first value of the first line of Age. An invalid one counts
// as zero (RFC 9111 section 5.1).
func parseAge(lines []string) time.Duration {
	if len(lines) == 0 {
		return 0
	}
	first, _, _ := strings.Cut(lines[0], ",")
	return parseDelta(strings.TrimSpace(first)).duration()
}

// heuristicStatus reports whether a response of this status may be stored without
// being told (RFC 9110 section 15.1).
func heuristicStatus(status int) bool {
	switch status {
	case http.StatusOK, http.StatusNonAuthoritativeInfo, http.StatusNoContent, http.StatusPartialContent,
		http.StatusMultipleChoices, http.StatusMovedPermanently, http.StatusPermanentRedirect, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestURITooLong, http.StatusNotImplemented:
		return true
	}
	return false
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
