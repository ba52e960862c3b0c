package assets

import (
	"slices"

	"slipway/internal/edge/coding"
)

// Private

// file is one asset in all its codings.
type file struct {
	variants    []variant // the identity, and those that are smaller
	offers      []coding.Coding
	hash        string // of the identity
	contentType string
	sourceMap   []byte // nil: none
}

// variant is the body of a file in a coding.
type variant struct {
	coding coding.Coding
	body   []byte
}

// suffixes are added to the name of an exported file for its variants.
var suffixes = map[coding.Coding]string{coding.Brotli: ".br", coding.Zstd: ".zst", coding.Gzip: ".gz"}

func newFile(content []byte, hash, contentType string) file {
	return file{variants: []variant{{coding.Identity, content}}, hash: hash, contentType: contentType}
}

// content is the body of the file as it is.
func (f *file) content() []byte { return f.variants[0].body }

// keep adds a variant, or replaces the one of the same coding. It keeps none that is
// not smaller than gzip, which every browser reads.
func (f *file) keep(c coding.Coding, body []byte) {
	if zipped := f.in(coding.Gzip); c != coding.Gzip && zipped != nil && len(body) >= len(zipped.body) {
		return
	}
	if known := f.in(c); known != nil {
		known.body = body
		return
	}
	f.variants = append(f.variants, variant{c, body})
	f.offers = slices.DeleteFunc(slices.Clone(coding.ForStored), func(c coding.Coding) bool { return f.in(c) == nil })
}

// compressQuickly adds a gzip variant, unless compression is no use.
func (f *file) compressQuickly() {
	if !coding.Compressible(f.contentType) {
		return
	}
	if encoded, smaller := coding.Encode(coding.Gzip, coding.Quick, f.content()); smaller {
		f.keep(coding.Gzip, encoded)
	}
}

// in returns the variant of a coding, and nil when there is none.
func (f *file) in(c coding.Coding) *variant {
	for i := range f.variants {
		if f.variants[i].coding == c {
			return &f.variants[i]
		}
	}
	return nil
}

// choose returns the variant for a client, by the lines of its Accept-Encoding. A range
// is one of the identity: a client could not continue it with another build's variant.
func (f *file) choose(accept []string, ranged bool) *variant {
	if ranged {
		return f.in(coding.Identity)
	}
	return f.in(coding.Negotiate(accept, f.offers))
}
