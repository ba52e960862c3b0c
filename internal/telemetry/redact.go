package telemetry

import (
	"net/netip"
	"regexp"
	"strings"
)

// redact replaces by *** everything that Scrub replaces and all possible personal
// data: mail addresses, network addresses, URL queries and quoted text, which
// mostly repeats a client's input. The log still has the unredacted message.
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
	address := strings.TrimRight(text, ".:")
	_, notAddress := netip.ParseAddr(address)
	_, notWithPort := netip.ParseAddrPort(address)
	if notAddress != nil && notWithPort != nil {
		return text
	}
	return "***" + text[len(address):]
}
