package assets

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"slipway/internal/edge/coding"
)

// Private

// file is one asset in all its codings.
type file struct {
	variants    []*variant // the identity, and those that are smaller
	offers      []coding.Coding
	hash        string // of the identity
	contentType []string
	sourceMap   []byte // nil: none

	useAs  []string // the field by which browsers use the file as a dictionary; nil: they do not
	deltas atomic.Pointer[[]delta]
}

// variant is the body of a file in a coding, with the fields of its header, so that a
// request formats nothing.
type variant struct {
	coding   coding.Coding
	body     []byte
	tag      string
	tagField []string
	length   []string
	encoding []string
}

// The values of fields that all files have. net/http does not change them.
var (
	immutable = []string{"public, max-age=31536000, immutable"}
	noSniff   = []string{"nosniff"}
	byBytes   = []string{"bytes"}

	vary             = []string{"Accept-Encoding"}
	varyByDictionary = []string{"Accept-Encoding, Available-Dictionary"}
)

// suffixes are added to the name of an exported file for its variants.
var suffixes = map[coding.Coding]string{coding.Brotli: ".br", coding.Zstd: ".zst", coding.Gzip: ".gz"}

func newFile(content []byte, hash, contentType string) *file {
	f := &file{hash: hash, contentType: []string{contentType}}
	f.keep(coding.Identity, content)
	return f
}

// content is the body of the file as it is.
func (f *file) content() []byte { return f.variants[0].body }

// size is that of all variants together, in bytes.
func (f *file) size() int {
	size := 0
	for _, one := range f.variants {
		size += len(one.body)
	}
	return size
}

// keep adds a variant, or replaces the one of the same coding. It keeps none that is
// not smaller than gzip, which every browser reads.
func (f *file) keep(c coding.Coding, body []byte) {
	if zipped := f.in(coding.Gzip); c != coding.Gzip && zipped != nil && len(body) >= len(zipped.body) {
		return
	}
	f.variants = slices.DeleteFunc(f.variants, func(one *variant) bool { return one.coding == c })
	tag := coding.StoredTag(strconv.Quote(f.hash), c)
	f.variants = append(f.variants, newVariant(c, tag, body))
	f.offers = slices.DeleteFunc(slices.Clone(coding.ForStored), func(c coding.Coding) bool { return f.in(c) == nil })
}

// compressQuickly adds a gzip variant, unless compression is no use.
func (f *file) compressQuickly() {
	if !coding.Compressible(f.contentType[0]) {
		return
	}
	if encoded, smaller := coding.Encode(coding.Gzip, coding.Quick, f.content()); smaller {
		f.keep(coding.Gzip, encoded)
	}
}

// in returns the variant of a coding, and nil when there is none.
func (f *file) in(c coding.Coding) *variant {
	for _, one := range f.variants {
		if one.coding == c {
			return one
		}
	}
	return nil
}

// serve sends the file to a client. The names of fields are in the canonical form of
// net/http.
func (f *file) serve(w http.ResponseWriter, r *http.Request) (status, bytes int) {
	ranged := len(r.Header["Range"]) > 0
	chosen := f.choose(r, ranged)
	header := w.Header()
	header["Cache-Control"] = immutable
	header["Etag"] = chosen.tagField
	f.offerDictionaries(r, header)
	if NotModified(r, chosen.tag) {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified, 0
	}
	header["Content-Type"] = f.contentType
	header["X-Content-Type-Options"] = noSniff
	if f.sourceMap != nil {
		header["Sourcemap"] = []string{r.URL.Path + mapSuffix}
	}
	if ranged {
		return serveRange(w, r, chosen.body)
	}
	if chosen.coding == coding.Identity {
		header["Accept-Ranges"] = byBytes
	} else {
		header["Content-Encoding"] = chosen.encoding
	}
	header["Content-Length"] = chosen.length
	return http.StatusOK, sendBody(w, r, chosen.body)
}

// choose returns the variant for a client. A range is one of the identity: a client could
// not continue it with another build's variant.
func (f *file) choose(r *http.Request, ranged bool) *variant {
	if ranged {
		return f.in(coding.Identity)
	}
	if delta := f.delta(r); delta != nil {
		return delta
	}
	return f.in(coding.Negotiate(r.Header["Accept-Encoding"], f.offers))
}

func newVariant(c coding.Coding, tag string, body []byte) *variant {
	return &variant{
		coding: c, body: body, tag: tag,
		tagField: []string{tag}, length: []string{strconv.Itoa(len(body))}, encoding: []string{c.String()},
	}
}

// sendBody sends a body of status 200, and returns its length. HEAD has none.
func sendBody(w http.ResponseWriter, r *http.Request, body []byte) int {
	if r.Method == http.MethodHead {
		return 0
	}
	_, _ = w.Write(body) // fails only when the client has disconnected
	return len(body)
}

// serveRange sends the ranges of a body that a request wants.
func serveRange(w http.ResponseWriter, r *http.Request, body []byte) (status, length int) {
	sent := &observed{ResponseWriter: w}
	http.ServeContent(sent, r, "", time.Time{}, bytes.NewReader(body))
	return sent.status, sent.bytes
}

// observed remembers the status and the length of a response.
type observed struct {
	http.ResponseWriter
	status, bytes int
}

func (o *observed) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(p []byte) (int, error) {
	n, err := o.ResponseWriter.Write(p)
	o.bytes += n
	return n, err
}
