package coding

import (
	"bytes"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Effort is how much time and memory Encode may take.
type Effort uint8

const (
	// Quick is for pages that a cache compresses while it serves. A page of 26 KB takes
	// 0.06 ms with gzip, 0.05 ms with zstd and 0.3 ms with Brotli (8 % smaller than
	// zstd), and 1 to 2 MB of memory. With a dictionary, a page of 12 KB takes 0.02 ms.
	Quick Effort = iota
	// Best is for files that a build compresses once: Brotli level 11 takes 40 ms for
	// the same page, and zstd and Brotli take 35 MB of memory; zstd with a dictionary
	// takes 9 MB and makes 10 % less.
	Best
)

// Encode returns a body in a coding, to be stored. It returns false, and no body, for
// Identity, for DCZ (see Dictionary.Encode), and when the result is not smaller than the
// body.
func Encode(c Coding, effort Effort, body []byte) ([]byte, bool) {
	if c == Identity || c == DCZ {
		return nil, false
	}
	var encoded []byte
	if effort == Best {
		encoded = encodeWith(best.encoder(c, nil), body)
	} else {
		lent, ok := quickEncoders[c].Get().(encoder)
		if !ok {
			lent = quick.encoder(c, nil)
		}
		encoded = encodeWith(lent, body)
		quickEncoders[c].Put(lent)
	}
	if len(encoded) >= len(body) {
		return nil, false
	}
	return bytes.Clone(encoded), true
}

// Private

var (
	quick = levels{gzip: 6, zstd: zstd.SpeedDefault, zstdWindow: 512 << 10, brotli: 5, dictionary: zstd.SpeedFastest}
	// Browsers read windows of zstd up to 8 MB (RFC 9659).
	best = levels{
		gzip: gzip.BestCompression, zstd: zstd.SpeedBestCompression, zstdWindow: 8 << 20, brotli: brotli.BestCompression,
		dictionary: zstd.SpeedBetterCompression,
	}
)

// quickEncoders has the idle encoders of effort Quick.
var quickEncoders [Codings]sync.Pool

func encodeWith(e encoder, body []byte) []byte {
	if whole, ok := e.(*zstd.Encoder); ok {
		return whole.EncodeAll(body, make([]byte, 0, len(body)/4+64)) // writes the length in its header
	}
	var encoded bytes.Buffer
	encoded.Grow(len(body)/4 + 64)
	e.Reset(&encoded)
	_, _ = e.Write(body) // a bytes.Buffer returns no error
	_ = e.Close()
	e.Reset(io.Discard)
	return encoded.Bytes()
}
