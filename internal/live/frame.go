package live

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Private

// frame is a part of an event stream, ready to be sent: its text (WHATWG HTML,
// section 9.2.6), and around it what makes it a chunk of HTTP/1.1 (RFC 9112, section
// 7.1).
type frame struct {
	chunk []byte
	from  int // index of the text in chunk
}

func newFrame(text []byte) frame {
	head := strconv.AppendInt(make([]byte, 0, len(text)+16), int64(len(text)), 16)
	head = append(head, "\r\n"...)
	return frame{chunk: slices.Concat(head, text, []byte("\r\n")), from: len(head)}
}

func (f frame) text() []byte { return f.chunk[f.from : len(f.chunk)-len("\r\n")] }
func (f frame) size() int    { return len(f.text()) }

// appendFragment appends a fragment. A number of 0 is that of a fragment that is no
// event of the hub.
func appendFragment(text []byte, number int64, html string) []byte {
	if number != 0 {
		text = fmt.Appendf(text, "id: %d\n", number)
	}
	return fmt.Appendf(text, "event: fragment\ndata: %s\n\n", dataLines(html))
}

func appendStatus(text []byte, now status) []byte {
	return fmt.Appendf(text, "event: %s\ndata: %s\n\n", now, now)
}

// appendMark appends the number of the last event that the page has seen, without an
// event. A seen of 0 is unknown, and only keeps the connection alive.
func appendMark(text []byte, seen int64) []byte {
	if seen == 0 {
		return append(text, ":\n\n"...)
	}
	return append(strconv.AppendInt(append(text, "id: "...), seen, 10), "\n\n"...)
}

// appendRetry appends the time after which the browser shall connect again.
func appendRetry(text []byte, milliseconds int) []byte {
	return fmt.Appendf(text, "retry: %d\n\n", milliseconds)
}

// dataLines puts "data: " before each line but the first, because a line break
// ends a field of the stream.
func dataLines(html string) string {
	return strings.ReplaceAll(strings.ReplaceAll(html, "\r", ""), "\n", "\ndata: ")
}
