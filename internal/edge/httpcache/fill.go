package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fill is one request to the handler, whose response may be stored. It is the
// http.ResponseWriter of that request.
//
// A response that is to be stored is collected first and sent when it is complete,
// so that a client that reads slowly keeps nobody waiting and a handler that fails
// half way leaves no trace. Any other response is passed on as it comes, and so is
// what a handler flushes.
type fill struct {
	cache  *Cache
	asked  *inquiry
	led    *flight
	w      http.ResponseWriter // nil in the background
	stored *entry              // to validate, or to fall back on; nil without one
	rest   *entry              // the beginning of a body, of which the request only wants the rest; nil without one

	request   *http.Request
	handle    *Handle
	requested time.Time
	rejoin    func() // ties the handler to its client, once the response is for this client alone

	stage   stage
	header  http.Header // what the handler sets
	answer  *answer     // nil before the final status
	content []byte
	refusal string // why the response is not stored
}

// stage is what happens to the body of a fill's response.
type stage int

const (
	undecided  stage = iota // before the final status
	collecting              // kept for the store; nothing has been sent
	sharing                 // kept and sent at the same time, since the handler flushed
	passing                 // sent, not kept
	dropping                // of a 304, or of an error that a stored response replaces
	hijacked                // the handler has the connection
)

// run asks the handler and sends its response. A panic of the handler continues
// unless a stale response can be sent instead.
func (f *fill) run() {
	flights := f.cache.flights
	defer flights.end(f.led)
	f.header = http.Header{}
	cancel := f.prepare()
	defer cancel()
	f.requested = f.cache.options.Now()

	cause, panicked := f.call()
	f.finish(cause, panicked)
}

// Private

// prepare makes the request. One that others may wait for is detached from its
// client and has a deadline of its own; what the client asked about its own copy
// or of a part of the body is left out, so that the response is of use to all.
func (f *fill) prepare() context.CancelFunc {
	client := f.asked.request
	f.rejoin = func() {}
	f.handle = &Handle{personal: f.asked.personal, background: f.w == nil}
	if !f.led.joined && (f.stored == nil || client.Method != http.MethodGet || f.asked.personal) {
		f.request = client.WithContext(f.handle.with(client.Context()))
		return func() {}
	}
	ctx, cancel := client.Context(), context.CancelFunc(func() {})
	if f.led.joined {
		ctx, cancel = f.detach(ctx)
	}
	f.request = client.Clone(f.handle.with(ctx))
	f.request.Method = http.MethodGet
	for _, name := range conditions {
		delete(f.request.Header, name)
	}
	delete(f.request.Header, "Range")
	switch {
	case f.stored != nil:
		f.stored.condition(f.request.Header)
	case f.rest != nil:
		f.rest.askRest(f.request.Header)
	case f.w != nil:
		f.handle.stripped = client.Header
	}
	return cancel
}

// detach returns a context that ends with the deadline of a fill, and not with that
// of its client before rejoin is called.
func (f *fill) detach(client context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	deadline := time.AfterFunc(f.cache.options.FillTimeout, cancel)
	leave := func() bool { return true }
	f.rejoin = func() {
		deadline.Stop()
		leave = context.AfterFunc(client, cancel)
	}
	return ctx, func() {
		deadline.Stop()
		leave()
		cancel()
	}
}

// call runs the handler. It returns the value of its panic.
func (f *fill) call() (cause any, panicked bool) {
	defer func() {
		if panicked {
			cause = recover()
		}
	}()
	panicked = true
	f.cache.next.ServeHTTP(f, f.request)
	panicked = false
	if f.stage == undecided {
		f.WriteHeader(http.StatusOK)
	}
	return nil, false
}

// decide chooses what happens to the body, once the final status is known.
func (f *fill) decide() {
	c := f.cache
	status := f.answer.status
	switch {
	case f.stored != nil && status == http.StatusNotModified && f.validates():
		f.stage = dropping
		return
	case f.rest != nil && (status == http.StatusPartialContent || status == http.StatusRequestedRangeNotSatisfiable) && !f.continues():
		f.stage = dropping
		return
	case serverError(status) && f.fallsBack():
		f.stage = dropping
		return
	}
	if f.refusal = f.refuse(); f.refusal != "" {
		f.pass()
		return
	}
	f.stage = collecting
	life, _ := f.answer.lifetime()
	if life <= 0 || f.answer.directives.noCache {
		c.flights.release(f.led, nil, false)
	}
}

// validates reports whether the request asks whether the stored response is still
// good, in place of what its client asked.
func (f *fill) validates() bool {
	return f.led.joined || f.asked.request.Method == http.MethodGet && !f.asked.personal
}

// refuse says why the response is not stored.
func (f *fill) refuse() string {
	method := f.asked.request.Method
	switch {
	case f.asked.personal && !f.answer.forEveryone():
		return "private"
	case f.asked.key == "" || method == http.MethodHead:
		return "method"
	case method == http.MethodPost && !f.answersGet():
		return "method"
	case method != http.MethodGet && method != http.MethodPost:
		return "method"
	case f.declared() > f.cache.options.MaxItemSize:
		return "size"
	case f.answer.status == http.StatusPartialContent:
		return f.answer.refusalOfPart(f.request, f.cache.options.Policy)
	}
	return f.answer.refusal(f.cache.options.Policy)
}

// continues reports whether the response can be added to the stored part of a body.
func (f *fill) continues() bool {
	return f.rest.continuedBy(f.answer) && f.rest.part.size <= f.cache.options.MaxItemSize &&
		f.answer.refusalOfPart(f.request, f.cache.options.Policy) == ""
}

// fallsBack reports whether the stored response can replace an error.
func (f *fill) fallsBack() bool {
	return f.stored != nil && f.w != nil && f.stage != passing && f.stage != sharing && f.stage != hijacked &&
		f.stored.servesInsteadOfError(f.cache.options.Now(), &f.asked.directives, f.cache.options.StaleIfError)
}

// pass sends the response on as it comes, and lets those who wait for it go on.
func (f *fill) pass() {
	c := f.cache
	f.stage = passing
	c.flights.release(f.led, nil, false)
	shareable := f.asked.request.Method == http.MethodGet && f.stored == nil && f.asked.key != "" && !f.asked.personal
	if shareable && !serverError(f.answer.status) {
		c.store.markUnshared(f.asked.key, f.answer.received)
	}
	f.rejoin()
	f.commit()
}

// commit sends the status and the header of the handler.
func (f *fill) commit() {
	if f.w == nil {
		return
	}
	header := f.w.Header()
	for name, values := range f.answer.header {
		setField(header, name, values)
	}
	how := outcome{result: miss, reason: f.asked.reason, stored: f.refusal == "", detail: f.refusal}
	if f.asked.personal && f.refusal != "" {
		how.result = bypassed
	}
	f.cache.announce(header, how, 0)
	f.w.WriteHeader(f.answer.status)
}

// finish ends the fill, after the handler has.
func (f *fill) finish(cause any, panicked bool) {
	switch {
	case panicked && f.fallsBack():
		f.cache.options.Log.Warn("Stale response replaces a handler that panicked", "error", fmt.Sprint(cause))
		f.serveStale()
	case panicked && f.w == nil:
		f.cache.options.Log.Warn("Refresh of a stored response panicked", "error", fmt.Sprint(cause))
	case panicked:
		f.cache.flights.release(f.led, nil, false)
		panic(cause)
	case f.stage == dropping && f.answer.status == http.StatusNotModified:
		f.validated()
	case f.stage == dropping && serverError(f.answer.status):
		f.serveStale()
	case f.stage == dropping:
		f.again()
	case f.stage == collecting, f.stage == sharing:
		f.collected()
	case f.stage == passing && f.w != nil:
		f.sendTrailers()
		if f.asked.personal {
			f.copy()
		} else if f.stored != nil && f.asked.request.Method == http.MethodHead {
			f.cache.updateByHead(f.asked, f.stored, f.answer)
		}
	}
}

// collected stores a complete response and sends it.
func (f *fill) collected() {
	if !f.complete() {
		switch {
		case f.rest != nil && f.answer.status == http.StatusPartialContent:
			f.again()
		case f.stage == collecting:
			f.refusal = "incomplete"
			f.pass()
			_, _ = f.send(f.content) // a client that has left needs no body
			f.sendTrailers()
		}
		return
	}
	personal := f.personal()
	e := f.entry()
	led := f.led
	if unsafe, is := f.w.(*invalidator); is {
		unsafe.invalidate(f.answer.status, f.answer.header)
		led = f.cache.flights.alone(f.asked.key)
		defer f.cache.flights.end(led)
	}
	kept := f.cache.keep(led, f.asked, e)
	f.cache.flights.release(f.led, e, false)
	if f.w != nil && f.stage == collecting {
		for name, values := range personal {
			setField(f.w.Header(), name, values)
		}
		f.cache.serve(f.w, f.asked, e, outcome{result: miss, reason: f.asked.reason, stored: kept})
	}
}

// personal are the fields that only this client gets: those that no-cache="…" and
// private="…" name (RFC 9111 sections 5.2.2.4 and 5.2.2.7).
func (f *fill) personal() http.Header {
	fields := http.Header{}
	for _, name := range slices.Concat(f.answer.directives.noCacheFields, f.answer.directives.privateFields) {
		if values, has := f.answer.header[name]; has {
			fields[name] = values
		}
	}
	return fields
}

// complete reports whether the handler sent the whole response: as long as it said,
// in time, and with no trailers, which are not stored.
func (f *fill) complete() bool {
	if f.request.Context().Err() != nil {
		return false
	}
	for name := range f.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return false
		}
	}
	if f.answer.status == http.StatusPartialContent {
		given, _, ok := parseContentRange(f.answer.header.Get("Content-Range"))
		return ok && given.length() == int64(len(f.content))
	}
	declared := f.declared()
	return declared < 0 || declared == int64(len(f.content)) || f.answer.status == http.StatusNoContent
}

// entry makes the entry of a complete response.
func (f *fill) entry() *entry {
	rule := parseSearchRule(f.answer.header)
	if f.answer.status != http.StatusPartialContent {
		return f.newEntry(f.content, rule)
	}
	given, size, _ := parseContentRange(f.answer.header.Get("Content-Range"))
	f.answer.header.Del("Content-Range")
	f.answer.status = http.StatusOK
	content, held := f.content, &part{given, size}
	if f.rest != nil {
		content, held = append(f.rest.body.identity[:f.rest.body.size():f.rest.body.size()], content...), nil
	}
	e := f.newEntry(content, rule)
	e.part = held
	return e
}

// newEntry makes an entry with what the handler said to the Handle.
func (f *fill) newEntry(content []byte, rule *searchRule) *entry {
	e := newEntry(f.answer, content, f.asked.request, rule)
	e.label = f.handle.label
	e.addTags(f.handle.tags)
	return e
}

// validated updates the stored response by a 304 and sends it.
func (f *fill) validated() {
	c := f.cache
	if !f.stored.validatedBy(f.answer.header) {
		c.store.drop(f.asked.key, f.stored)
		f.again()
		return
	}
	updated, refusal := f.stored.updated(f.answer, f.asked.request, c.options.Policy)
	if refusal != "" {
		c.store.drop(f.asked.key, f.stored)
		c.flights.release(f.led, nil, false)
	} else {
		c.keep(f.led, f.asked, updated)
		c.flights.release(f.led, updated, false)
	}
	if f.w == nil {
		return
	}
	if cookies := f.answer.header["Set-Cookie"]; len(cookies) > 0 {
		setField(f.w.Header(), "Set-Cookie", cookies)
	}
	c.serve(f.w, f.asked, updated, outcome{
		result: hit, reason: f.asked.reason, status: http.StatusNotModified, stored: refusal == "", detail: refusal,
	})
}

// serveStale sends the stored response instead of an error, to those who wait too.
func (f *fill) serveStale() {
	c := f.cache
	status := http.StatusInternalServerError
	if f.stage == dropping {
		status = f.answer.status
	}
	c.failing.note(f.asked.key, c.options.Now())
	c.flights.release(f.led, f.stored, true)
	c.serve(f.w, f.asked, f.stored, outcome{result: stale, reason: f.asked.reason, status: status, replacesError: true})
}

// again asks the handler for the whole response, after it answered a question about
// a stored one in a way that is of no use.
func (f *fill) again() {
	c := f.cache
	c.flights.release(f.led, nil, false)
	if f.w == nil {
		return
	}
	next := &fill{cache: c, asked: f.asked, w: f.w, led: c.flights.alone(f.asked.key)}
	next.run()
}

// declared is the Content-Length of the response, -1 without one.
func (f *fill) declared() int64 {
	length, err := strconv.ParseInt(f.answer.header.Get("Content-Length"), 10, 64)
	if err != nil {
		return -1
	}
	return length
}

// keep stores a response, unless it was purged while the handler made it.
func (c *Cache) keep(led *flight, asked *inquiry, e *entry) bool {
	key := asked.key
	if e.rule != nil && !e.rule.same(asked.rule) {
		var buffer [512]byte
		path := pathKey(c.originKey(buffer[:0], asked.request), asked.request.URL)
		c.store.learn(string(path), e.rule)
		key = string(appendPart(path, e.rule.canonical(e.query)))
	}
	return c.flights.store(led, e.tags, func() { c.store.put(key, e) })
}

// serverError reports whether a status is an error in the sense of stale-if-error
// (RFC 5861 section 4).
func serverError(status int) bool {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
