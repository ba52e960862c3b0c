package httpcache

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"slipway/internal/edge/coding"
)

// variants are a body in content codings. Each is made when a client first wants it,
// so that a hit after that compresses nothing.
type variants struct {
	ofPage bool // the body is a page, which DCZ is for
	making sync.Mutex
	made   [coding.Codings]atomic.Pointer[variant]
}

// variant is a body in one coding. Its content is nil when the coding does not make
// the body smaller.
type variant struct {
	content []byte
	fields  []field // of the header, in place of those of the identity
}

// longLived is the lifetime from which a body is worth the time that Brotli takes.
const longLived = time.Minute

// variantShare bounds the memory of the variants of a body, as a part of its size:
// text takes a third of its size or less in each coding.
const variantShare = 0.75

// choose returns the body in the coding that the client prefers of those that are
// worth it, nil for the identity. A page may be compressed by the dictionary.
func (e *entry) choose(r *http.Request, dictionary *coding.Dictionary) *variant {
	if e.body.variants == nil || e.part != nil {
		return nil
	}
	offered := coding.ForLive
	if e.lifetime >= longLived {
		offered = coding.ForStored
	}
	if !e.body.variants.ofPage {
		dictionary = nil
	}
	wanted := coding.NegotiateBy(dictionary, r, offered)
	if wanted == coding.Identity {
		return nil
	}
	if coded := e.variant(wanted, dictionary); coded.content != nil {
		return coded
	}
	return nil
}

// Private

func (e *entry) variant(wanted coding.Coding, dictionary *coding.Dictionary) *variant {
	v := e.body.variants
	if made := v.made[wanted].Load(); made != nil {
		return made
	}
	v.making.Lock()
	defer v.making.Unlock()
	if made := v.made[wanted].Load(); made != nil {
		return made
	}
	made := &variant{}
	if content, smaller := encode(wanted, dictionary, e.body.identity); smaller {
		made.content = content
		made.fields = []field{
			{"Content-Encoding", []string{wanted.String()}},
			{"Content-Length", []string{strconv.Itoa(len(content))}},
		}
		if e.etag != "" {
			made.fields = append(made.fields, field{"Etag", []string{coding.StoredTag(e.etag, wanted)}})
		}
	}
	v.made[wanted].Store(made)
	return made
}

func encode(wanted coding.Coding, dictionary *coding.Dictionary, body []byte) ([]byte, bool) {
	if wanted == coding.DCZ {
		return dictionary.Encode(coding.Quick, body)
	}
	return coding.Encode(wanted, coding.Quick, body)
}

// weight is the memory that a body and its variants may take, in bytes.
func (b body) weight() int {
	if b.variants == nil {
		return b.size()
	}
	return b.size() + int(variantShare*float64(b.size()))
}
