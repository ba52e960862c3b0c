package coding

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
)

// Private

// errEnded is the error of a write after the handler has returned.
var errEnded = errors.New("the handler of this response has returned")

// errCompressed is the error of a handler that wants the connection of a compressed
// response.
var errCompressed = fmt.Errorf("take over a compressed response: %w", http.ErrNotSupported)

// unknown is the length of a body whose handler sets no Content-Length.
const unknown = -1

// state is what a writer does with the bytes of the body.
type state uint8

const (
	undecided state = iota // holds them, until they are enough to decide
	asIs                   // passes them on
	encoding               // compresses them
	dropping               // ignores them, because GET would compress them and this is HEAD
	ended                  // refuses them
)

// writer is the http.ResponseWriter of a response that may be compressed.
type writer struct {
	inner   http.ResponseWriter
	handler *Handler
	coding  Coding // that the client wants: of a page, and then of any body
	other   Coding // that it wants of anything else than a page
	offers  bool   // a page may be in DCZ for some clients
	linked  bool   // this client shall get the dictionary
	isHead  bool
	forced  bool    // see isForced
	aliases []alias // see withBaseTags

	state   state
	status  int // 0 until WriteHeader
	never   bool
	held    []byte
	length  int64 // that the handler has declared
	written int64
	encoder encoder
	sink    sink
}

func (w *writer) Header() http.Header { return w.inner.Header() }

// WriteHeader passes the status on as soon as it is decided whether the body is
// compressed, because that changes the header.
func (w *writer) WriteHeader(status int) {
	if w.state != undecided {
		w.inner.WriteHeader(status) // superfluous: net/http logs that
		return
	}
	if w.status != 0 {
		return
	}
	w.takeMark()
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.inner.WriteHeader(status) // interim: another one follows
		return
	}
	w.status = status
	if length, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && length >= 0 {
		w.length = length
	}
	_, typed := w.Header()["Content-Type"]
	if w.length != unknown && (typed || w.length == 0) || typed && !w.dependsOnClient() || !isWhole(status) {
		w.decide(nil, w.length >= MinSize)
	}
}

func (w *writer) Write(p []byte) (int, error) {
	if w.state == undecided {
		w.WriteHeader(http.StatusOK)
	}
	switch w.state {
	case undecided:
		return w.hold(p)
	case encoding:
		return w.encode(p)
	case dropping:
		return len(p), nil
	case ended:
		return 0, errEnded
	case asIs:
	}
	return w.inner.Write(p)
}

// ReadFrom lets net/http send a file without copying it, when it is not compressed.
func (w *writer) ReadFrom(source io.Reader) (int64, error) {
	var copied int64
	if w.state == undecided {
		sample := make([]byte, MinSize)
		n, err := io.ReadFull(source, sample)
		if n > 0 {
			if _, err := w.Write(sample[:n]); err != nil {
				return 0, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return int64(n), nil
		}
		if err != nil {
			return int64(n), err
		}
		copied = int64(n)
	}
	var target io.Writer = struct{ io.Writer }{w}
	if w.state == asIs {
		target = w.inner
	}
	n, err := io.Copy(target, source)
	return copied + n, err
}

// Flush implements http.Flusher.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError sends all that was written, compressed or not. A response that is flushed
// before it has 1024 bytes is compressed if it declares no length: it is probably long.
func (w *writer) FlushError() error {
	if w.state == ended {
		return errEnded
	}
	if w.state == undecided {
		w.WriteHeader(http.StatusOK)
	}
	if w.state == undecided {
		if err := w.begin(w.held, w.length == unknown || w.length >= MinSize); err != nil {
			return err
		}
	}
	if w.state == encoding {
		if err := w.encoder.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.inner).Flush()
}

// Hijack implements http.Hijacker, for WebSockets and for event streams. It fails when
// the body is compressed, because the handler would go on without.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.state == encoding {
		return nil, nil, errCompressed
	}
	connection, buffer, err := http.NewResponseController(w.inner).Hijack()
	if err == nil {
		w.state = ended
	}
	return connection, buffer, err
}

// Unwrap lets http.ResponseController reach the deadlines of the connection.
func (w *writer) Unwrap() http.ResponseWriter { return w.inner }

// finish ends a response whose handler has returned.
func (w *writer) finish() {
	if w.state == undecided {
		w.WriteHeader(http.StatusOK)
	}
	if w.state == undecided {
		// A handler that writes nothing for HEAD tells nothing of its length. Most such
		// responses are long.
		if err := w.begin(w.held, w.isHead && len(w.held) == 0); err != nil {
			return // the client has left
		}
	}
	if w.state != encoding {
		return
	}
	if w.length != unknown && w.written < w.length {
		// Without compression, net/http closes the connection. The client must notice.
		panic(http.ErrAbortHandler)
	}
	_ = w.encoder.Close() // fails only when the client has left
	w.handler.compressed.Add(1)
	w.handler.bytesIn.Add(uint64(w.written))
	w.handler.bytesOut.Add(uint64(w.sink.bytes))
}

// release gives the encoder back. The body remains incomplete unless finish was called.
func (w *writer) release() {
	if w.encoder != nil {
		w.handler.encoders.giveBack(w.coding, w.encoder)
		w.encoder = nil
	}
	w.state = ended
}

// hold collects bytes until they are enough to decide.
func (w *writer) hold(p []byte) (int, error) {
	switch {
	case len(w.held)+len(p) < MinSize && w.dependsOnClient():
		w.held = append(w.held, p...)
	case len(w.held) == 0:
		w.decide(p, len(p) >= MinSize)
		return w.Write(p)
	default:
		content := slices.Concat(w.held, p)
		if err := w.begin(content, len(content) >= MinSize); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// begin decides with the bytes that were written so far, and passes them on.
func (w *writer) begin(content []byte, isLong bool) error {
	w.held = nil
	w.decide(content, isLong)
	if len(content) == 0 {
		return nil
	}
	_, err := w.Write(content)
	return err
}

// decide sends the header, and so chooses whether the body is compressed. The sample
// is its beginning, of which the type is detected when the handler sets none, because
// net/http would detect that of the compressed bytes.
func (w *writer) decide(sample []byte, isLong bool) {
	header := w.Header()
	_, typed := header["Content-Type"]
	if !typed && len(sample) > 0 && isWhole(w.status) && header.Get("Content-Encoding") == "" {
		header.Set("Content-Type", http.DetectContentType(sample))
	}
	if w.status == http.StatusNotModified {
		restoreTag(header, w.aliases)
	}
	if w.varies(typed, isLong) {
		AddVary(header)
	}
	w.state = asIs
	w.offerDictionary()
	if isLong && isWhole(w.status) && w.mayEncode() && Eligible(header) {
		w.startEncoding()
	}
	w.inner.WriteHeader(w.status)
	if w.state == encoding {
		if w.coding == DCZ {
			_, _ = w.sink.Write(w.handler.dictionary.preface) // fails only when the client has left
		}
		_ = pad(w.encoder, &w.sink, w.handler.jitter) // likewise
	}
}

// varies reports whether other clients get another body. A short one is the same for
// all. That of a range or of a 304 belongs to a whole of unknown length, and the type
// of the latter may be unknown too.
func (w *writer) varies(typed, isLong bool) bool {
	switch {
	case w.never:
		return false
	case w.status == http.StatusNotModified && !typed:
		return transformable(w.Header())
	case isWhole(w.status) && (!isLong || !w.dependsOnClient()):
		return false
	}
	return varies(w.Header())
}

// dependsOnClient reports whether the header so far permits to compress a long body
// for some clients.
func (w *writer) dependsOnClient() bool {
	header := w.Header()
	if w.never || len(header["Trailer"]) > 0 {
		return false
	}
	_, typed := header["Content-Type"]
	return !typed || Eligible(header)
}

// mayEncode reports whether the header so far permits to compress the body for this
// client.
func (w *writer) mayEncode() bool {
	return w.coding != Identity && w.dependsOnClient() && (!w.forced || isPublic(w.Header()))
}

// startEncoding changes the header to that of a compressed body. It does nothing when
// all encoders are in use.
func (w *writer) startEncoding() {
	w.state = dropping
	if !w.isHead {
		w.sink.target = w.inner
		w.encoder = w.handler.encoders.take(w.coding, &w.sink)
		if w.encoder == nil {
			w.state = asIs
			w.handler.busy.Add(1)
			return
		}
		w.state = encoding
	}
	header := w.Header()
	header["Content-Encoding"] = []string{w.coding.String()}
	if tag := header.Get("Etag"); tag != "" {
		header.Set("Etag", liveTag(tag, w.coding))
	}
	RemoveIdentityFields(header)
}

// offerDictionary changes the header of a page for the dictionary: others may get the page
// in DCZ, and this client is told where the dictionary is. Anything else is never in DCZ.
func (w *writer) offerDictionary() {
	header := w.Header()
	isPage := IsPage(header)
	if !isPage {
		w.coding = w.other
	}
	if !w.offers || w.never || !transformable(header) {
		return
	}
	mayBePage := isPage || w.status == http.StatusNotModified && len(header["Content-Type"]) == 0
	if mayBePage && namesInVary(header, "Accept-Encoding") {
		addToVary(header, "Available-Dictionary")
	}
	if isPage && w.linked && w.status == http.StatusOK {
		header["Link"] = append(header["Link"], w.handler.link...)
	}
}

// RemoveIdentityFields removes what a handler said of the identity of a body and what
// is not true of it in a coding: its length, its ranges, its digests (RFC 9530, and the
// older fields).
func RemoveIdentityFields(header http.Header) {
	for _, name := range identityFields {
		delete(header, name)
	}
}

// identityFields are in the canonical form of net/http.
var identityFields = []string{"Content-Length", "Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"}

func (w *writer) encode(p []byte) (int, error) {
	if w.length != unknown && w.written+int64(len(p)) > w.length {
		return 0, http.ErrContentLength
	}
	n, err := w.encoder.Write(p)
	w.written += int64(n)
	return n, err
}

// takeMark removes the mark of Never from the header.
func (w *writer) takeMark() {
	if header := w.Header(); len(header[neverHeader]) > 0 {
		w.never = true
		delete(header, neverHeader)
	}
}

// isWhole reports whether a response of this status has a whole body: not none, not a
// range and not another protocol.
func isWhole(status int) bool {
	switch status {
	case http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusResetContent,
		http.StatusPartialContent, http.StatusNotModified:
		return false
	}
	return true
}

// sink is what an encoder writes to.
type sink struct {
	target io.Writer
	bytes  int64
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.target.Write(p)
	s.bytes += int64(n)
	return n, err
}
