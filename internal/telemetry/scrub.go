package telemetry

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Scrub hides what a message may hold of credentials: the user part of
// addresses, fields whose name tells of a secret, headers that log somebody in,
// keys of known forms, and payment card numbers. It would rather hide too much.
func Scrub(message string) string {
	if len(message) > longestScrubbed {
		// Between two words: half an address looks like none.
		message = message[:strings.LastIndexAny(message[:longestScrubbed], " \t\n")+1] + "…"
	}
	message = scrubAddresses(message)
	for _, rule := range secrets {
		message = rule.pattern.ReplaceAllString(message, rule.shown)
	}
	return digits.ReplaceAllStringFunc(message, scrubCard)
}

// Private

// longestMessage bounds what is logged or sent of one error, in bytes.
const longestMessage = 1024

// longestScrubbed bounds what is looked through, in bytes: a stack fits.
const longestScrubbed = 16 << 10

var secrets = []struct {
	pattern *regexp.Regexp
	shown   string
}{
	// Whole headers: a cookie is many values.
	{regexp.MustCompile(`(?i)(cookie|authorization)(\\*["']?\s*[:=]\s*)[^\r\n]*`), "${1}${2}***"},
	// password=…, "client_secret": "…", SECRET_KEY_BASE='…', also within quoted text.
	{regexp.MustCompile(`(?i)((?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|dsn)[\w-]*)` +
		`(\\*["']?\s*(?:=>|[:=]+)\s*)` +
		`(?:\\"(?:[^"\\]|\\[^"\\]|\\\\(?:\\\\|\\"|[^\\"]))*(?:\\")?|\\+["'][^\r\n]*|(?:'(?:[^'\\]|\\.)*'?)+|"(?:[^"\\]|\\.)*"?|[^\s&]+(?:(?:&[^\s&=]*)+(\s|\z))?)`), "${1}${2}***${3}"},
	{regexp.MustCompile(`(?i)\b(bearer)\s+\S+`), "${1} ***"},
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`), "***"},
	// Stripe, AWS, GitHub, and anything signed as JSON Web Tokens are.
	{regexp.MustCompile(`\b(?:[sr]k_(?:live|test)_\w+|whsec_\w+|A(?:KIA|SIA)[0-9A-Z]{12,}|gh[opsur]_\w{20,}|eyJ[\w-]+\.[\w-]+\.[\w-]*)`), "***"},
	// Redis repeats the arguments of a command that it does not know, a password
	// among them.
	{regexp.MustCompile(`(?s)(with args beginning with:).*`), "${1} ***"},
}

var digits = regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`)

// scrubCard hides a number that may be a payment card's: one whose check digit
// is right (ISO/IEC 7812-1, annex B).
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

// scrubAddresses hides what stands between "://" and the last @ that may
// belong to the same address: a password may hold an @, a slash, even a space.
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

// userinfoEnd is where the host begins in an address without its scheme, 0
// where there is nothing in front of it.
func userinfoEnd(address string) int {
	line := address
	if end := strings.IndexAny(line, "\r\n"); end >= 0 {
		line = line[:end]
	}
	if next := strings.Index(line, "://"); next >= 0 {
		// The next address and its scheme are not part of this one.
		line = strings.TrimRight(line[:next], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-")
	}
	word := line
	if end := strings.IndexAny(word, " \t\"'`"); end >= 0 {
		word = word[:end]
	}
	if at := strings.LastIndexByte(word, '@'); at >= 0 {
		return at + 1
	}
	// No @ in the first word, but a colon that no port follows: a password with
	// a space or a quote in it.
	if _, rest, colon := strings.Cut(word, ":"); colon && !port.MatchString(rest) {
		return strings.LastIndexByte(line, '@') + 1
	}
	return 0
}

var port = regexp.MustCompile(`^(?:\d|[^@]*\]:?\d*|[0-9a-fA-F:]*\])`)

// cut bounds a message that has been scrubbed: half a secret looks like none.
func cut(message string) string {
	if len(message) <= longestMessage {
		return message
	}
	end := longestMessage
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + "…"
}
