package telemetry

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Scrub replaces by *** every possible credential in a message: the user part of
// URLs, fields whose name suggests a secret, authentication headers, keys of
// known formats, and payment card numbers. In doubt it replaces too much. It
// truncates a message of more than 16 KiB.
func Scrub(message string) string {
	if len(message) > longestScrubbed {
		// Cut between two words, because the rules do not recognise half a URL.
		message = message[:strings.LastIndexAny(message[:longestScrubbed], " \t\n")+1] + "…"
	}
	message = scrubAddresses(message)
	for _, rule := range secrets {
		message = rule.pattern.ReplaceAllString(message, rule.shown)
	}
	return digits.ReplaceAllStringFunc(message, scrubCard)
}

// Private

// longestMessage bounds the text of one error in logs and alerts, in bytes.
const longestMessage = 1024

// longestScrubbed bounds the text that Scrub searches, in bytes. A stack trace fits.
const longestScrubbed = 16 << 10

const secretNames = `password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|dsn`

var secrets = []struct {
	pattern *regexp.Regexp
	shown   string
}{
	// Whole headers, because one Cookie header has many values.
	{regexp.MustCompile(`(?i)(cookie|authorization)(\\*["']?\s*[:=]\s*)[^\r\n]*`), "${1}${2}***"},
	// password=…, "client_secret": "…", SECRET_KEY_BASE='…', also inside quoted text.
	{regexp.MustCompile(`(?i)((?:` + secretNames + `)[\w-]*)` +
		`(\\*["']?\s*(?:=>|[:=]+)\s*)` +
		`(?:\\"(?:[^"\\]|\\[^"\\]|\\\\(?:\\\\|\\"|[^\\"]))*(?:\\")?|\\+["'][^\r\n]*|` +
		`(?:'(?:[^'\\]|\\.)*'?)+|"(?:[^"\\]|\\.)*"?|[^\s&]+(?:(?:&[^\s&=]*)+(\s|\z))?)`), "${1}${2}***${3}"},
	{regexp.MustCompile(`(?i)\b(bearer)\s+\S+`), "${1} ***"},
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`), "***"},
	// Keys of Stripe, AWS and GitHub, and JSON Web Tokens.
	{regexp.MustCompile(`\b(?:[sr]k_(?:live|test)_\w+|whsec_\w+|A(?:KIA|SIA)[0-9A-Z]{12,}|gh[opsur]_\w{20,}|` +
		`eyJ[\w-]+\.[\w-]+\.[\w-]*)`), "***"},
	// Redis repeats the arguments of an unknown command, which may be a password.
	{regexp.MustCompile(`(?s)(with args beginning with:).*`), "${1} ***"},
}

var digits = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)

// scrubCard replaces a number whose check digit is right (ISO/IEC 7812-1, annex
// B), because it may be a payment card's.
func scrubCard(number string) string {
	sum, double := 0, false
	for i := len(number) - 1; i >= 0; i-- {
		if number[i] < '0' || number[i] > '9' {
			continue
		}
		digit := int(number[i] - '0')
		if double {
			digit = digit*2/10 + digit*2%10
		}
		sum, double = sum+digit, !double
	}
	if sum%10 != 0 {
		return number
	}
	return "***"
}

// scrubAddresses replaces the text between "://" and the last @ that may belong
// to the same URL. A password may contain an @, a slash or a space.
func scrubAddresses(message string) string {
	var scrubbed strings.Builder
	for {
		before, after, found := strings.Cut(message, "://")
		scrubbed.WriteString(before)
		if !found {
			return scrubbed.String()
		}
		scrubbed.WriteString("://")
		if end := userinfoEnd(after); end > 0 {
			scrubbed.WriteString("***@")
			after = after[end:]
		}
		message = after
	}
}

// userinfoEnd returns the index at which the host begins in a URL without its
// scheme, or 0 when the URL has no user part.
func userinfoEnd(address string) int {
	line := address
	if end := strings.IndexAny(line, "\r\n"); end >= 0 {
		line = line[:end]
	}
	if next := strings.Index(line, "://"); next >= 0 {
		// The next URL and its scheme are not part of this one.
		line = strings.TrimRight(line[:next], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-")
	}
	word := line
	if end := strings.IndexAny(word, " \t\"'`"); end >= 0 {
		word = word[:end]
	}
	if at := strings.LastIndexByte(word, '@'); at >= 0 {
		return at + 1
	}
	// A colon without a port after it, and no @ in the first word, mean that a
	// password contains a space or a quote.
	if _, rest, colon := strings.Cut(word, ":"); colon && !port.MatchString(rest) {
		return strings.LastIndexByte(line, '@') + 1
	}
	return 0
}

var port = regexp.MustCompile(`^(?:\d|[^@]*\]:?\d*|[0-9a-fA-F:]*\])`)

// truncate shortens a message to longestMessage. The message must be scrubbed
// already, because the rules do not recognise half a secret.
func truncate(message string) string {
	if len(message) <= longestMessage {
		return message
	}
	end := longestMessage
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + "…"
}
