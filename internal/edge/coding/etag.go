package coding

import (
	"net/http"
	"slices"
	"strings"
)

// StoredTag returns the ETag of a body that is stored in a coding, from the ETag of
// its identity: "x" becomes "x-br", because a strong ETag names one sequence of bytes
// (RFC 9110, section 8.8.3.3). A weak ETag names the meaning and is returned as it is.
// In DCZ the bytes differ with the dictionary, so that the ETag becomes weak.
func StoredTag(tag string, c Coding) string {
	if c == Identity || !isStrong(tag) {
		return tag
	}
	if c == DCZ {
		return liveTag(tag, c)
	}
	return tag[:len(tag)-1] + "-" + c.String() + `"`
}

// CutTag returns the first ETag of a list such as If-None-Match, weak or strong, and
// the rest of the list. The text between its quotes may have commas (RFC 9110, section
// 8.8.3). It returns false at the end of the list and for anything else than an ETag.
func CutTag(list string) (tag, rest string, ok bool) {
	list = strings.TrimLeft(list, " \t,")
	opening := strings.IndexByte(list, '"')
	if opening != 0 && (opening != 2 || list[:2] != "W/") {
		return "", "", false
	}
	length := strings.IndexByte(list[opening+1:], '"')
	if length < 0 {
		return "", "", false
	}
	end := opening + 1 + length + 1
	return list[:end], list[end:], true
}

// Private

// liveTag returns the ETag of a body that is compressed while it is sent: "x" becomes
// W/"x-br". It is weak because the bytes differ from one response to the next, with
// each flush and each padding, so that no client may join ranges of two of them.
func liveTag(tag string, c Coding) string {
	if !isStrong(tag) {
		return tag
	}
	return "W/" + tag[:len(tag)-1] + "-" + c.String() + `"`
}

func isStrong(tag string) bool {
	return len(tag) >= 2 && tag[0] == '"' && tag[len(tag)-1] == '"'
}

// alias is an ETag of StoredTag or liveTag that a client has sent back.
type alias struct {
	own  string // as the client has it
	base string // of the identity, as the handler has it
}

// withBaseTags returns a request whose If-None-Match and If-Match also name, for each
// ETag of StoredTag or liveTag, the ETag of the identity, because the handler knows no
// other. It returns the request itself when there is none. If-Range remains as it is:
// a range of the identity must not complete a body in a coding.
//
// An ETag of a coding that the client does not accept is no alias in If-None-Match. A
// shared cache asks for many clients, and would send that body to this one (RFC 9111,
// section 4.3.3).
func withBaseTags(r *http.Request) (*http.Request, []alias) {
	reads, writes := r.Header["If-None-Match"], r.Header["If-Match"]
	if len(reads) == 0 && len(writes) == 0 {
		return r, nil
	}
	accepted := parse(r.Header["Accept-Encoding"])
	known := aliases(reads, accepted.accept)
	saved := aliases(writes, func(Coding) bool { return true })
	if len(known) == 0 && len(saved) == 0 {
		return r, nil
	}
	changed := *r
	changed.Header = r.Header.Clone()
	prepend(changed.Header["If-None-Match"], known)
	prepend(changed.Header["If-Match"], saved)
	return &changed, known
}

// prepend puts the ETags of identities at the start of a list, where handlers find them
// that read one line only, or up to what they do not understand.
func prepend(lines []string, found []alias) {
	for _, one := range found {
		lines[0] = one.base + ", " + lines[0]
	}
}

// aliases returns the aliases in the lines of If-None-Match or If-Match.
func aliases(lines []string, accept func(Coding) bool) []alias {
	var found []alias
	for _, line := range lines {
		for {
			var tag string
			var ok bool
			if tag, line, ok = CutTag(line); !ok {
				break
			}
			opaque := strings.TrimPrefix(tag, "W/")
			for c := Gzip; c < Codings; c++ {
				if base, coded := strings.CutSuffix(opaque, "-"+c.String()+`"`); coded && len(base) > 1 && accept(c) {
					found = append(found, alias{own: tag, base: base + `"`})
				}
			}
		}
	}
	return found
}

// restoreTag gives a 304 the ETag by which the client knows its body, so that the
// client updates the right one.
func restoreTag(header http.Header, known []alias) {
	tag := header.Get("Etag")
	i := slices.IndexFunc(known, func(one alias) bool { return one.base == tag })
	if i >= 0 {
		header.Set("Etag", known[i].own)
	}
}
