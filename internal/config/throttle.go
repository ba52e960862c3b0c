package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Networks are networks of client addresses, given as a list with commas. A
// single address is a network of its own.
type Networks []netip.Prefix

// UnmarshalText reads "192.0.2.7, 2001:db8::/32".
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
				return fmt.Errorf("%q is no network", part)
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

// Countries are ISO 3166-1 codes of two letters, given as a list with commas.
type Countries []string

// UnmarshalText reads "de, FR".
func (c *Countries) UnmarshalText(text []byte) error {
	*c = nil
	for part := range strings.SplitSeq(strings.ToUpper(string(text)), ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if len(part) != 2 || strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return fmt.Errorf("%q is no country", part)
		}
		*c = append(*c, part)
	}
	return nil
}

func (c Countries) String() string { return strings.Join(c, ",") }

// Period is a time given in whole seconds, as Rack::Attack's users do, or as a
// duration.
type Period time.Duration

// UnmarshalText reads "300" or "5m".
func (p *Period) UnmarshalText(text []byte) error {
	if number, err := strconv.ParseUint(string(text), 10, 31); err == nil {
		*p = Period(time.Duration(number) * time.Second)
		return nil
	}
	duration, err := time.ParseDuration(string(text))
	if err != nil || duration < 0 || duration > 0 && duration < time.Second {
		return fmt.Errorf("%q is no number of seconds", text)
	}
	*p = Period(duration)
	return nil
}

func (p Period) String() string { return time.Duration(p).String() }
