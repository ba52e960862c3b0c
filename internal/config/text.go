package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Private

// trimmed returns variables without white space at the ends of their values. Files
// and tools add it by accident, and no value needs it.
func trimmed(variables map[string]string) map[string]string {
	clean := make(map[string]string, len(variables))
	for name, value := range variables {
		clean[name] = strings.TrimSpace(value)
	}
	return clean
}

// invisibleNames are the usual characters that cannot be seen.
var invisibleNames = map[rune]string{
	'\n': "line break", '\r': "carriage return", '\t': "tab", 0: "zero byte", 0xa0: "no-break space", 0xad: "soft hyphen",
	0x200b: "zero-width space", 0x200c: "zero-width non-joiner", 0x200d: "zero-width joiner", 0x2060: "word joiner",
	0xfeff: "byte-order mark", 0x202e: "right-to-left override",
}

// invisibleProblem returns which character of a value cannot be seen, or "".
func invisibleProblem(value string) string {
	if !utf8.ValidString(value) {
		return "is not valid UTF-8"
	}
	count := 0
	for _, character := range value {
		if invisible(character) {
			name := fmt.Sprintf("U+%04X", character)
			if usual := invisibleNames[character]; usual != "" {
				name += ", " + usual
			}
			return fmt.Sprintf("has a character that cannot be seen (%s) after %d others; type the value again", name, count)
		}
		count++
	}
	return ""
}

func invisible(character rune) bool {
	switch character {
	case ' ':
		return false
	case 0x034f, 0x115f, 0x1160, 0x2800, 0x3164, 0xffa0: // joiners and fillers
		return true
	}
	return unicode.IsControl(character) || unicode.IsSpace(character) || unicode.Is(unicode.Cf, character)
}
