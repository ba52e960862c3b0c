// Package keyset makes the cursors of lists that are read page by page. A page begins
// after the last row of the page before, which an index finds at once, so that every
// page costs the same, and rows that are inserted meanwhile move none to another page.
package keyset

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Cursor says where the next page of a list begins. Its text means nothing to others
// and can stand in a URL as it is. The empty cursor is the first page.
type Cursor string

// ErrCursor means that a text is no cursor of the list.
var ErrCursor = errors.New("this is no cursor: copy the one that the page before ends with")

// New returns the cursor of a position. The position is the values by which the list is
// sorted, in a struct or slice of plain fields. A position of more than 4096 bytes as JSON
// has no cursor: New returns the empty one.
func New(position any) Cursor {
	text, err := json.Marshal(position)
	if err != nil {
		panic(fmt.Sprintf("encode a cursor: %v", err)) // a programming error
	}
	if len(text) > maxLength {
		return ""
	}
	return Cursor(base64.RawURLEncoding.EncodeToString(text))
}

// Read reads the position of a cursor, or returns ErrCursor. Anybody can write a
// cursor: check that its values are ones that the list can have.
func (c Cursor) Read(position any) error {
	text, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil || len(text) > maxLength {
		return fmt.Errorf("%q: %w", shortened(string(c)), ErrCursor)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(position) != nil || !errors.Is(decoder.Decode(&struct{}{}), io.EOF) {
		return fmt.Errorf("%q: %w", shortened(string(c)), ErrCursor)
	}
	return nil
}

// Private

// maxLength is the greatest length in bytes of an encoded position.
const maxLength = 4096

func shortened(text string) string {
	if len(text) > 100 {
		return text[:100] + "…"
	}
	return text
}
