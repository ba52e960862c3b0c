package coding

import (
	"net/http"
	"strings"
)

// Eligible reports whether the body of a response with this header may be sent in a
// coding. Its type must be one that compresses well, the handler must not have
// chosen a coding, a range or Never itself, and Cache-Control must not have
// no-transform (RFC 9110, section 7.7).
func Eligible(header http.Header) bool {
	return header.Get("Content-Range") == "" && varies(header)
}

// Compressible reports whether bodies of a media type compress well. Images (except
// SVG), video, audio, archives and fonts in WOFF are compressed already.
//
// text/event-stream is left alone: a stream would occupy an encoder of 1.2 to 1.6 MB
// for as long as its page is open.
func Compressible(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.ToLower(trim(mediaType))
	switch mediaType {
	case "text/html", "text/css", "text/javascript", "text/plain", "text/xml", "text/csv", "text/markdown", "text/calendar",
		"application/json", "application/javascript", "application/xml", "application/wasm", "application/x-ndjson",
		"font/ttf", "font/otf":
		return true
	}
	return strings.HasSuffix(mediaType, "+json") || strings.HasSuffix(mediaType, "+xml")
}

// IsPage reports whether a response is a page, which may be in DCZ.
func IsPage(header http.Header) bool {
	mediaType, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.EqualFold(trim(mediaType), "text/html")
}

// AddVary adds Accept-Encoding to the Vary of a response, unless one of its lines
// names it or "*". It joins the lines into one, because some caches read only the
// first.
func AddVary(header http.Header) {
	addToVary(header, "Accept-Encoding")
}

// Private

// addToVary adds the name of a field to the Vary of a response (see AddVary).
func addToVary(header http.Header, added string) {
	lines := header["Vary"]
	if len(lines) == 0 {
		header["Vary"] = []string{added}
		return
	}
	if !namesInVary(header, added) {
		header["Vary"] = []string{strings.Join(append(lines[:len(lines):len(lines)], added), ", ")}
	}
}

// namesInVary reports whether a line of Vary has a name or "*".
func namesInVary(header http.Header, wanted string) bool {
	for _, line := range header["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = trim(name); name == "*" || strings.EqualFold(name, wanted) {
				return true
			}
		}
	}
	return false
}

// varies reports whether a response, or the whole that it is a range of, may be sent in
// a coding.
func varies(header http.Header) bool {
	return header.Get("Content-Encoding") == "" && Compressible(header.Get("Content-Type")) && transformable(header)
}

// transformable reports whether the handler permits another coding of its body.
func transformable(header http.Header) bool {
	return len(header[neverHeader]) == 0 && !hasDirective(header["Cache-Control"], "no-transform")
}

// hasDirective reports whether a line of Cache-Control has a directive, with or
// without an argument. Text between quotes is an argument and may have commas (RFC
// 9111, section 5.2).
func hasDirective(lines []string, name string) bool {
	for _, line := range lines {
		for line != "" {
			var directive string
			directive, line = cutDirective(line)
			directive, _, _ = strings.Cut(directive, "=")
			if strings.EqualFold(trim(directive), name) {
				return true
			}
		}
	}
	return false
}

// cutDirective returns the text up to the first comma outside quotes, and the rest
// behind it.
func cutDirective(line string) (directive, rest string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\':
			i++
		case line[i] == '"':
			quoted = !quoted
		case line[i] == ',' && !quoted:
			return line[:i], line[i+1:]
		}
	}
	return line, ""
}
