package httpcache

import (
	"net/http"
	"slices"
	"strconv"

	"slipway/internal/edge/coding"
)

// serve sends a stored response, or what a conditional or range request wants of
// it (RFC 9111 section 4, RFC 9110 sections 13 and 14).
func (c *Cache) serve(w http.ResponseWriter, asked *inquiry, e *entry, how outcome) {
	r := asked.request
	header := w.Header()
	for i := range e.fields {
		setField(header, e.fields[i].name, e.fields[i].values)
	}
	age := e.age(c.options.Now())
	if how.result != miss || age >= 1e9 {
		header["Age"] = []string{seconds(age)}
	}
	c.announce(header, how, e.lifetime-age)
	if how.replacesError && c.options.Amend != nil {
		c.serveAmended(w, asked, e, how)
		return
	}

	if e.status == http.StatusOK && r.Method != http.MethodPost && e.notModified(r.Header) {
		for _, name := range contentFields {
			delete(header, name)
		}
		w.WriteHeader(http.StatusNotModified)
		c.tell(asked, e, how, http.StatusNotModified, 0)
		return
	}
	content, status := e.body.identity, e.status
	switch {
	case e.status == http.StatusOK && len(r.Header["Range"]) > 0 && r.Method == http.MethodGet:
		content, status = e.cut(r.Header, header)
	case how.result != miss: // the response to a miss is compressed while it is sent
		if coded := e.choose(r, c.options.Dictionary); coded != nil {
			content = coded.content
			coding.RemoveIdentityFields(header)
			for i := range coded.fields {
				header[coded.fields[i].name] = coded.fields[i].values
			}
		}
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		content = nil
	}
	if len(content) > 0 {
		_, _ = w.Write(content)
	}
	c.tell(asked, e, how, status, len(content))
}

// serveAmended sends a stored response, changed by Options.Amend, in place of an
// error. It has no validators: the client shall ask again.
func (c *Cache) serveAmended(w http.ResponseWriter, asked *inquiry, e *entry, how outcome) {
	header := w.Header()
	content := c.options.Amend(header, slices.Clone(e.body.identity))
	for _, name := range []string{"Etag", "Last-Modified", "Accept-Ranges"} {
		delete(header, name)
	}
	header.Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(e.status)
	if asked.request.Method == http.MethodHead {
		content = nil
	}
	_, _ = w.Write(content)
	c.tell(asked, e, how, e.status, len(content))
}

// cut returns the part of the body that a request wants and the status that goes
// with it. Of an entry that is a part itself, it is that part when the request wants
// another one, because then it is what the handler just answered the request with.
func (e *entry) cut(request, header http.Header) ([]byte, int) {
	held := byteRange{0, int64(e.body.size()) - 1}
	size := int64(e.body.size())
	if e.part != nil {
		held, size = e.part.byteRange, e.part.size
	}
	wanted, what := parseRange(request["Range"], size)
	switch {
	case e.part != nil && (what != partOfBody || wanted.first < held.first || wanted.last > held.last):
		wanted = held
	case e.part == nil && (what == wholeBody || !e.rangeStillGood(request)):
		return e.body.identity, e.status
	case what == unsatisfiable:
		header.Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		header.Set("Content-Length", "0")
		return nil, http.StatusRequestedRangeNotSatisfiable
	}
	header.Set("Content-Range", contentRange(wanted, size))
	header.Set("Content-Length", strconv.FormatInt(wanted.length(), 10))
	return e.body.identity[wanted.first-held.first : wanted.last-held.first+1], http.StatusPartialContent
}

// setField puts the values of a field in a header. Fields of which the layers
// outside this one may have set some values keep these too.
func setField(header http.Header, name string, values []string) {
	switch name {
	case "Vary", "Set-Cookie", "Link":
		if len(header[name]) > 0 {
			values = slices.Concat(header[name], values)
		}
	}
	header[name] = values
}

// contentFields describe a body, which a 304 has not (RFC 9110 section 15.4.5).
var contentFields = []string{"Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Content-Range"}
