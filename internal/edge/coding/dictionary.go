package coding

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"math/bits"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Dictionary is text that a client may have already, such as an older version of a file.
// The coding DCZ compresses a body with zstd as if this text preceded it (RFC 9842).
// Create it with NewDictionary.
type Dictionary struct {
	content   []byte
	preface   []byte // of each body in DCZ
	available string // by which a client names the dictionary

	idle sync.Pool // of encoder, of effort Quick
}

// NewDictionary returns the dictionary with this content, which must not change.
func NewDictionary(content []byte) *Dictionary {
	sum := sha256.Sum256(content)
	return &Dictionary{
		content: content, preface: append(bytes.Clone(dczMagic), sum[:]...),
		available: ":" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
	}
}

// IsHeldBy reports whether the client of a request says that it has the dictionary, and
// dictionaries may be used with it (see MayOffer). It is false for a nil dictionary.
func (d *Dictionary) IsHeldBy(r *http.Request) bool {
	if d == nil {
		return false
	}
	lines := r.Header["Available-Dictionary"]
	return len(lines) == 1 && lines[0] == d.available && MayOffer(r)
}

// Encode returns a body in DCZ, to be stored. It returns false, and no body, when the
// result is not smaller than the body.
func (d *Dictionary) Encode(effort Effort, body []byte) ([]byte, bool) {
	var encoded []byte
	if effort == Best {
		encoded = d.encodeWith(best.encoder(DCZ, d), body)
	} else {
		lent, ok := d.idle.Get().(encoder)
		if !ok {
			lent = quick.encoder(DCZ, d)
		}
		encoded = d.encodeWith(lent, body)
		d.idle.Put(lent)
	}
	if len(encoded) >= len(body) {
		return nil, false
	}
	return bytes.Clone(encoded), true
}

// MayOffer reports whether a client may be told of dictionaries: over HTTPS, also that of
// a proxy in front, and on this machine. Browsers take none otherwise, because anyone on
// the way could exchange them.
func MayOffer(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") || isLocal(r.Host)
}

// NegotiateBy is Negotiate for a client that may have a dictionary. If it has, DCZ is on
// offer before all others.
func NegotiateBy(dictionary *Dictionary, r *http.Request, offers []Coding) Coding {
	accept := r.Header["Accept-Encoding"]
	if len(accept) == 0 || !dictionary.IsHeldBy(r) {
		return Negotiate(accept, offers)
	}
	var all [Codings]Coding
	return parse(accept).choose(append(append(all[:0], DCZ), offers...))
}

// Private

// dczMagic is the beginning of a body in DCZ: a frame that decoders of zstd skip. The
// SHA-256 of the dictionary follows (RFC 9842, section 5).
var dczMagic = []byte{0x5e, 0x2a, 0x4d, 0x18, 0x20, 0x00, 0x00, 0x00}

// encoder makes an encoder of DCZ. Its window is large enough for a page and all of the
// dictionary; browsers read windows up to 8 MB.
func (d *Dictionary) encoder(level zstd.EncoderLevel) (encoder, error) {
	const page, largest = 64 << 10, 8 << 20
	window := min(1<<bits.Len(uint(len(d.content)+page)), largest)
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderDictRaw(0, d.content), zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
}

func (d *Dictionary) encodeWith(e encoder, body []byte) []byte {
	return append(bytes.Clone(d.preface), encodeWith(e, body)...)
}

// isLocal reports whether a host is this machine, by a name that no DNS can give to
// another one.
func isLocal(host string) bool {
	if inner, isIPv6 := strings.CutPrefix(host, "["); isIPv6 {
		host, _, _ = strings.Cut(inner, "]")
	} else {
		host, _, _ = strings.Cut(host, ":")
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
