package throttle

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Private

// The keys in Redis. The key of a rule comes last: it may hold any character.
const (
	keyPrefix     = "throttle:"
	generationKey = keyPrefix + "generation"
)

func countKey(id entryID, window int64) string {
	period, number := strconv.FormatInt(id.period.Milliseconds(), 10), strconv.FormatInt(window, 10)
	return keyPrefix + "count:" + id.rule + ":" + period + ":" + number + ":" + id.key
}

func banKey(id entryID) string { return keyPrefix + "ban:" + id.rule + ":" + id.key }

func overKey(id entryID) string { return keyPrefix + "over:" + id.rule + ":" + id.key }

// splitKey is the inverse of countKey, banKey and overKey.
func splitKey(name string) (kind, rule, key string) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(name, keyPrefix), ":")
	rule, key, _ = strings.Cut(rest, ":")
	if kind == "count" {
		parts := strings.SplitN(key, ":", 3) // period, window, key
		key = parts[len(parts)-1]
	}
	return kind, rule, key
}

// longestKey is the length above which a rule's key is hashed.
const longestKey = 64

// normalizeKey trims a rule's key, lowers its case and bounds its length.
func normalizeKey(key string) string {
	key = strings.ToLower(strings.TrimSpace(key))
	if len(key) > longestKey {
		return hash(key)
	}
	return key
}

// accountKey is the same for all spellings of an account.
func accountKey(account string) string {
	return "account " + hash(strings.ToLower(norm.NFKC.String(strings.TrimSpace(account))))
}

// maskedKey is a rule's key for the log, without the part of an address that
// identifies one person.
func maskedKey(key string) string {
	if address, err := netip.ParseAddr(key); err == nil && address.Is4() {
		network, _ := address.Prefix(24)
		return network.String()
	}
	if network, err := netip.ParsePrefix(key); err == nil {
		network, _ = network.Addr().Prefix(48)
		return network.String()
	}
	if address, err := netip.ParseAddr(key); err == nil {
		network, _ := address.Prefix(48)
		return network.String()
	}
	if key == "unknown" {
		return key
	}
	return hash(key)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
