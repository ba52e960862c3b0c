package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Networks is a list of networks, separated by commas. A single address is the
// network of that address.
type Networks []netip.Prefix

// UnmarshalText parses a list such as "192.0.2.7, 2001:db8::/32".
func (n *Networks) UnmarshalText(text []byte) error {
	*n = nil
	for part := range strings.SplitSeq(string(text), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		network, err := netip.ParsePrefix(part)
		if err != nil {
			address, addressErr := netip.ParseAddr(part)
			if addressErr != nil || address.Zone() != "" {
				return fmt.Errorf("%q is not a network", part)
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		*n = append(*n, network.Masked())
	}
	return nil
}

func (n Networks) String() string {
	parts := make([]string, len(n))
	for i, network := range n {
		parts[i] = network.String()
	}
	return strings.Join(parts, ",")
}

// Countries is a list of two-letter ISO 3166-1 codes, separated by commas.
type Countries []string

// UnmarshalText parses a list such as "de, FR". It accepts any two letters.
func (c *Countries) UnmarshalText(text []byte) error {
	*c = nil
	for part := range strings.SplitSeq(strings.ToUpper(string(text)), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if len(part) != 2 || strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return fmt.Errorf("%q is not a two-letter country code", part)
		}
		*c = append(*c, part)
	}
	return nil
}

func (c Countries) String() string { return strings.Join(c, ",") }

// Period is a duration that is given in whole seconds, as in Rack::Attack, or as a
// duration such as 5m.
type Period time.Duration

// UnmarshalText parses a period such as "300" or "5m". It must be 0 or at least a
// second.
func (p *Period) UnmarshalText(text []byte) error {
	if number, err := strconv.ParseUint(string(text), 10, 31); err == nil {
		*p = Period(time.Duration(number) * time.Second)
		return nil
	}
	duration, err := time.ParseDuration(string(text))
	if err != nil || duration < 0 || duration > 0 && duration < time.Second {
		return fmt.Errorf("%q is not a number of seconds", text)
	}
	*p = Period(duration)
	return nil
}

func (p Period) String() string { return time.Duration(p).String() }
