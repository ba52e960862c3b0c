package httpcache

import (
	"context"
	"net/http"
	"time"
)

// Handle lets a handler tell the cache in front of it about its response, before the
// first byte. A nil Handle, which is that of a request that no response may be stored
// for, takes everything and does nothing.
type Handle struct {
	personal   bool
	background bool
	stripped   http.Header // the client's header, of whose conditions the request has none; nil: it has them

	label     string
	copied    bool
	lifetimes *lifetimes
	tags      []string
}

// HandleOf returns the handle of a request, nil without one.
func HandleOf(r *http.Request) *Handle {
	handle, _ := r.Context().Value(handleKey{}).(*Handle)
	return handle
}

// MayKeep reports whether the response may be stored for others: the request comes
// through the cache and identifies no visitor (see Options.PrivateCookies).
func (h *Handle) MayKeep() bool { return h != nil && !h.personal }

// InBackground reports whether no client waits for the response: the cache asks to
// renew what it has stored.
func (h *Handle) InBackground() bool { return h != nil && h.background }

// Keep stores the response, whatever its Cache-Control says to others: it is fresh
// for a time, and for another time after that it is served while it is renewed. It
// does nothing unless MayKeep.
func (h *Handle) Keep(fresh, whileRenewed time.Duration) {
	if h.MayKeep() {
		h.lifetimes = &lifetimes{fresh, whileRenewed}
	}
}

// Tag gives the response tags, by which Purge finds it, besides those in
// Surrogate-Key and Cache-Groups.
func (h *Handle) Tag(tags ...string) {
	if h != nil {
		h.tags = append(h.tags, tags...)
	}
}

// Label names the response for Options.Served.
func (h *Handle) Label(name string) {
	if h != nil {
		h.label = name
	}
}

// OfferCopy tells that the response is personal only because the visitor is identified:
// when the cache has no recent response for others, it asks for one in the background,
// to be served while the handler fails.
func (h *Handle) OfferCopy() {
	if h != nil {
		h.copied = true
	}
}

// Conditional returns the request with the conditions of its client, such as
// If-None-Match. A request whose response may be stored comes without them. A handler
// uses it for a response that is costly to send and not worth storing.
func (h *Handle) Conditional(r *http.Request) *http.Request {
	if h == nil || h.stripped == nil {
		return r
	}
	conditional := *r
	conditional.Header = r.Header.Clone()
	for _, name := range conditions {
		if values, has := h.stripped[name]; has {
			conditional.Header[name] = values
		}
	}
	return &conditional
}

// Private

type handleKey struct{}

// lifetimes replace those of Cache-Control.
type lifetimes struct{ fresh, whileRenewed time.Duration }

// with returns a context that HandleOf finds the handle in.
func (h *Handle) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, handleKey{}, h)
}
