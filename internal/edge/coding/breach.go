package coding

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// Never sends the response as it is, uncompressed. Call it before the first byte, in a
// handler whose page has a secret (a token, a code, a key) beside text that the
// request chooses: the length of a compressed page would tell how much of the secret
// that text guesses (the attack BREACH). It marks the response with a header that
// Handler removes and that a cache inside it stores.
func Never(w http.ResponseWriter) {
	w.Header()[neverHeader] = []string{"1"}
}

// Private

// neverHeader is in the canonical form of net/http.
const neverHeader = "X-Never-Compress"

// isForced reports whether another site may have made a browser send this request
// with what identifies its user. BREACH needs thousands of such requests, and an
// attacker has no other way to make them: so Handler compresses their responses only
// when these are public, which are the same for everyone and have no secret.
//
// A browser adds Cookie and all Authorization but Bearer by itself. It tells by
// Sec-Fetch-Site who made a request, but not before 2023, nor over plain HTTP, whose
// pages anyone on the way can read. Without that header, a request is taken for
// forced when it has a query or a body for the guess.
func isForced(r *http.Request) bool {
	if len(r.Header["Cookie"]) == 0 && !hasAmbientAuthorization(r.Header.Get("Authorization")) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		return r.URL.RawQuery != "" || r.ContentLength != 0
	}
	return true // cross-site, same-site
}

func hasAmbientAuthorization(field string) bool {
	scheme, _, _ := strings.Cut(field, " ")
	return scheme != "" && !strings.EqualFold(scheme, "Bearer")
}

// isPublic reports whether a response is the same for everyone.
func isPublic(header http.Header) bool {
	lines := header["Cache-Control"]
	return (hasDirective(lines, "public") || hasDirective(lines, "s-maxage")) &&
		!hasDirective(lines, "private") && !hasDirective(lines, "no-store")
}

// pad makes the body that an encoder is about to write to w longer, by a random number
// of bytes from 1 to most: the comment of gzip, or a skippable frame of zstd (RFC 8878,
// section 3.1.2), which has 8 bytes more. It makes an attacker who measures lengths
// repeat each guess many times.
func pad(body encoder, w io.Writer, most int) error {
	if most <= 0 {
		return nil
	}
	length := 1 + rand.IntN(most)
	if zipper, ok := body.(*gzip.Writer); ok {
		zipper.Comment = strings.Repeat("-", length)
		return nil
	}
	frame := make([]byte, 8+length)
	binary.LittleEndian.PutUint32(frame, 0x184D2A50)
	binary.LittleEndian.PutUint32(frame[4:], uint32(length))
	_, err := w.Write(frame)
	return err
}
