package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/sys/unix"
)

// Domains is a list of host names, separated by commas.
type Domains []string

// UnmarshalText splits a list such as "app.example.com, www.example.com". It accepts
// any names.
func (d *Domains) UnmarshalText(text []byte) error {
	*d = nil
	for part := range strings.SplitSeq(string(text), ",") {
		if part = strings.TrimSpace(part); part != "" {
			*d = append(*d, part)
		}
	}
	return nil
}

func (d Domains) String() string { return strings.Join(d, ",") }

// Key is a key in base64url (RFC 4648, section 5), with or without "=" at its end.
type Key []byte

// UnmarshalText decodes a key.
func (k *Key) UnmarshalText(text []byte) (err error) {
	*k, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(string(text), "="))
	if err == nil && len(*k) == 0 {
		return errors.New("the key is empty")
	}
	return err
}

func (k Key) String() string { return base64.RawURLEncoding.EncodeToString(k) }

// PublicHTTPSPort returns the port of BASE_URL, to which web redirects. It differs from
// HTTPS_PORT when a container publishes that under another number.
func (c *Config) PublicHTTPSPort() int {
	if address, err := url.Parse(c.BaseURL); err == nil && address.Port() != "" {
		if port, err := strconv.Atoi(address.Port()); err == nil {
			return port
		}
	}
	return 443
}

// Private

// checkCertificates reports settings of TLS that cannot work. Without TLS_DOMAIN,
// nothing reads them.
func (c *Config) checkCertificates(checks *Checker) {
	checks.That("EAB_HMAC_KEY", c.EABKeyID == "" || c.EABKey != nil, "is missing, and EAB_KID is set")
	checks.That("EAB_KID", c.EABKey == nil || c.EABKeyID != "", "is missing, and EAB_HMAC_KEY is set")
	if len(c.TLSDomains) == 0 {
		return
	}
	for _, domain := range c.TLSDomains {
		problem := domainProblem(domain)
		checks.That("TLS_DOMAIN", problem == "", fmt.Sprintf("names %s, %s", domain, problem))
	}
	checks.That("HTTPS_PORT", c.HTTPSPort != c.HTTPPort, "is the same as HTTP_PORT")
	checks.That("OPS_PORT", c.OpsPort != c.HTTPPort, "is the same as HTTP_PORT; /metrics must not be public")
	checks.That("OPS_PORT", c.OpsPort != c.HTTPSPort, "is the same as HTTPS_PORT; /metrics must not be public")
	problem := storageProblem(c.StoragePath)
	checks.That("STORAGE_PATH", problem == "", problem)
	c.checkPublicAddress(checks)
}

// checkPublicAddress reports a BASE_URL that TLS_DOMAIN contradicts.
func (c *Config) checkPublicAddress(checks *Checker) {
	if c.BaseURL == "" || addressProblem(c.BaseURL, "http", "https") != "" {
		return // reported by the tag schemes
	}
	address, _ := url.Parse(c.BaseURL) // addressProblem has parsed it
	checks.That("BASE_URL", address.Scheme == "https", "begins with http://, and TLS_DOMAIN is set; write https://")
	named := slices.ContainsFunc(c.TLSDomains, func(domain string) bool {
		// A wrong domain is reported by itself, and may be meant for this host.
		return domainProblem(domain) != "" || asciiName(domain) == asciiName(address.Hostname())
	})
	checks.That("BASE_URL", named,
		fmt.Sprintf("has the host %s, which is not in TLS_DOMAIN", address.Hostname()))
	if checks.role == Web {
		checks.Warn("HTTPS_PORT", c.HTTPSPort == c.PublicHTTPSPort(),
			fmt.Sprintf("is %d, and visitors use port %d of BASE_URL; something must forward that port", c.HTTPSPort, c.PublicHTTPSPort()))
	}
}

// domainProblem returns why no certificate can be had for a host name, as the end of a
// sentence, or "".
func domainProblem(domain string) string {
	switch {
	case strings.Contains(domain, "*"):
		return "and certificates for wildcards need changes in the DNS, which web cannot make; write each host name"
	case net.ParseIP(domain) != nil:
		return "which is an address; certificates are for host names"
	case strings.ContainsAny(domain, ":/@"):
		return "which is more than a host name; leave out the scheme, the port and the path"
	case asciiName(domain) == "":
		return "which is not a host name"
	case !strings.Contains(asciiName(domain), "."):
		return "and certificates are for names with a dot only"
	}
	return ""
}

// asciiName returns a host name as it is compared, and "" for what is none.
func asciiName(host string) string {
	name, err := idna.Lookup.ToASCII(strings.TrimSuffix(host, "."))
	if err != nil || len(name) > 253 {
		return ""
	}
	return name
}

// storageProblem returns why a directory cannot keep certificates, or "". A directory
// that does not exist is created later.
func storageProblem(directory string) string {
	found, err := os.Stat(directory)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		return "is a directory that cannot be used: " + err.Error()
	case !found.IsDir():
		return "is not a directory"
	case unix.Access(directory, unix.W_OK|unix.X_OK) != nil:
		return "is a directory to which this user cannot write"
	}
	return ""
}
