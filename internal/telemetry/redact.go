package telemetry

import (
	"net/netip"
	"regexp"
	"strings"
)

// redact hides, besides what Scrub does, all that may be about a person: mail
// and network addresses, the query of an address, and quoted text, which is
// mostly what somebody has sent. The whole message is in the log.
func redact(message string) string {
	message = quoted.ReplaceAllString(Scrub(message), `"***"`)
	message = mailAddress.ReplaceAllString(message, "***@***")
	message = query.ReplaceAllString(message, "?***")
	return networkAddress.ReplaceAllStringFunc(message, redactAddress)
}

// Private

var (
	quoted         = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*(?:\"|\\z)|`[^`]*(?:`|\\z)")
	mailAddress    = regexp.MustCompile(`[^\s@<>"'(),;:/]+@[^\s@<>"'(),;:/]+`)
	query          = regexp.MustCompile(`\?[^\s"']*=[^\s"']*`)
	networkAddress = regexp.MustCompile(`[0-9a-fA-F:.]*[0-9a-fA-F][:.][0-9a-fA-F:.]+|::[0-9a-fA-F:.]*`)
)

func redactAddress(text string) string {
	bare := strings.TrimRight(text, ".:")
	_, notAddress := netip.ParseAddr(bare)
	_, notWithPort := netip.ParseAddrPort(bare)
	if notAddress != nil && notWithPort != nil {
		return text
	}
	return "***" + text[len(bare):]
}
