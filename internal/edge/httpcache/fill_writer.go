package httpcache

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
)

// Header is what the handler sets. It is apart from the header of the client's
// response, so that what the layers outside the cache set is not stored.
func (f *fill) Header() http.Header { return f.header }

// WriteHeader takes the status. Interim ones (1xx) are sent at once and never
// stored.
func (f *fill) WriteHeader(status int) {
	switch {
	case f.stage != undecided:
		return
	case status < 200 && status != http.StatusSwitchingProtocols:
		f.sendInterim(status)
		return
	}
	f.answer = newAnswer(status, f.header.Clone(), f.request, f.requested, f.cache.options.Now())
	f.answer.heed(f.handle)
	if f.answer.header == nil {
		f.answer.header = http.Header{}
	}
	f.decide()
}

// Write takes a part of the body.
func (f *fill) Write(content []byte) (int, error) {
	if f.stage == undecided {
		f.WriteHeader(http.StatusOK)
	}
	switch f.stage {
	case collecting, sharing:
		f.collect(content)
		return len(content), nil
	case passing:
		return f.send(content)
	case hijacked:
		return 0, http.ErrHijacked
	}
	return len(content), nil
}

// ReadFrom lets a large file be sent without a copy where it is not kept.
func (f *fill) ReadFrom(from io.Reader) (int64, error) {
	if f.stage == undecided {
		f.WriteHeader(http.StatusOK)
	}
	if f.stage == passing && f.w != nil {
		return io.Copy(f.w, from)
	}
	return io.Copy(struct{ io.Writer }{f}, from)
}

// FlushError sends what there is at once. A response that is collected is sent and
// kept from then on.
func (f *fill) FlushError() error {
	if f.stage == undecided {
		f.WriteHeader(http.StatusOK)
	}
	if f.w == nil || f.rest != nil && f.answer.status == http.StatusPartialContent {
		return nil
	}
	switch f.stage {
	case collecting:
		f.stage = sharing
		f.commit()
		_, _ = f.send(f.content)
	case dropping, hijacked:
		return nil
	}
	return http.NewResponseController(f.w).Flush()
}

// Flush is FlushError for handlers that know http.Flusher only.
func (f *fill) Flush() { _ = f.FlushError() }

// Hijack gives the handler the connection. Nothing is stored then.
func (f *fill) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if f.w == nil {
		return nil, nil, http.ErrNotSupported
	}
	connection, buffered, err := http.NewResponseController(f.w).Hijack()
	if err == nil {
		f.stage = hijacked
		f.cache.flights.release(f.led, nil, false)
		f.rejoin()
	}
	return connection, buffered, err
}

// Unwrap is for http.ResponseController: deadlines are those of the connection.
func (f *fill) Unwrap() http.ResponseWriter { return f.w }

// Private

// collect keeps a part of the body. A body that grows too large is passed on.
func (f *fill) collect(content []byte) {
	if int64(len(f.content)+len(content)) <= f.cache.options.MaxItemSize {
		f.content = append(f.content, content...)
		if f.stage == sharing {
			_, _ = f.send(content) // a client that has gone does not end the fill
		}
		return
	}
	if f.rest != nil && f.answer.status == http.StatusPartialContent {
		f.stage, f.content = dropping, nil
		return
	}
	f.refusal = "size"
	if f.stage == sharing {
		f.stage = passing
		f.cache.flights.release(f.led, nil, false)
		f.cache.store.markUnshared(f.asked.key, f.answer.received)
		f.rejoin()
	} else {
		f.pass()
		_, _ = f.send(f.content)
	}
	f.content = nil
	_, _ = f.send(content)
}

func (f *fill) send(content []byte) (int, error) {
	if f.w == nil || len(content) == 0 {
		return len(content), nil
	}
	return f.w.Write(content)
}

// sendInterim sends an interim response with the header that the handler has set
// for it, and no trace of it stays.
func (f *fill) sendInterim(status int) {
	if f.w == nil {
		return
	}
	header := f.w.Header()
	before := maps.Clone(header)
	maps.Copy(header, f.header)
	f.w.WriteHeader(status)
	clear(header)
	maps.Copy(header, before)
}

// sendTrailers copies what the handler set after the status and announced as
// trailers.
func (f *fill) sendTrailers() {
	header := f.w.Header()
	for name, values := range f.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			header[name] = values
		}
	}
	for _, line := range f.answer.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values, has := f.header[name]; has {
				header[name] = values
			}
		}
	}
}
