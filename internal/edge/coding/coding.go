// Package coding chooses content codings by RFC 9110, section 12.5.3, compresses
// live responses as they are written, and compresses bodies that are stored.
package coding

// Coding is a content coding (RFC 9110, section 8.4.1). Its zero value is Identity.
type Coding uint8

// The codings that this package chooses from.
const (
	Identity Coding = iota // the body as it is
	Gzip                   // RFC 1952
	Zstd                   // RFC 8878
	Brotli                 // RFC 7932
	DCZ                    // RFC 9842: zstd by a Dictionary that the client has

	Codings = iota // how many there are
)

// ForStored and ForLive are codings in the order in which a server prefers them:
// for bodies that are stored ready compressed, and for bodies that are compressed
// while a client waits. Do not change them.
var (
	ForStored = []Coding{Brotli, Zstd, Gzip}
	ForLive   = []Coding{Zstd, Gzip}
)

// String returns the name of a coding in Accept-Encoding and Content-Encoding.
func (c Coding) String() string { return names[c] }

// Private

var names = [Codings]string{Identity: "identity", Gzip: "gzip", Zstd: "zstd", Brotli: "br", DCZ: "dcz"}
