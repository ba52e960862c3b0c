// Package certificate gets the certificates of an HTTPS server from a certificate
// authority that speaks ACME, such as Let's Encrypt, and renews them. It redirects HTTP
// to HTTPS.
package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"slipway/internal/edge/hosts"
)

// Options are the settings of New.
type Options struct {
	Domains   []string // host names, without port; each gets a certificate of its own
	Storage   string   // directory of certificates and keys; New creates it
	Directory string   // URL of the certificate authority

	// KeyID and Key belong to an account that the certificate authority has created
	// elsewhere (RFC 8555, section 7.3.4). Empty: the authority needs none.
	KeyID string
	Key   []byte

	Client *http.Client // for calls of the certificate authority; nil: one with a timeout
	Log    *slog.Logger
}

// Domains are the host names of this server, and their certificates.
type Domains struct {
	own      *hosts.List
	manager  *autocert.Manager
	refusals *refusals
	notices  *notices
}

// New returns an error when it cannot write to the storage. It connects to nothing:
// the first client of a domain causes the request for its certificate.
func New(options Options) (*Domains, error) {
	if err := prepareStorage(options.Storage); err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 30 * time.Second}
	if options.Client != nil {
		client = *options.Client
	}
	d := &Domains{own: hosts.New(options.Domains...), refusals: newRefusals(client.Transport), notices: newNotices(options.Log)}
	client.Transport = d.refusals
	d.manager = &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		Cache:      autocert.DirCache(options.Storage),
		HostPolicy: d.allow,
		Client:     &acme.Client{DirectoryURL: options.Directory, HTTPClient: &client, UserAgent: "slipway"},
	}
	if options.KeyID != "" {
		d.manager.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: options.KeyID, Key: options.Key}
	}
	return d, nil
}

// TLSConfig returns the configuration of a listener for HTTP/2 and HTTP/1.1. It also
// answers the challenge TLS-ALPN-01 of the certificate authority.
func (d *Domains) TLSConfig() *tls.Config {
	config := d.manager.TLSConfig()
	config.GetCertificate = d.certificate
	return config
}

// Check returns an error that names each domain without a certificate, or whose
// certificate is overdue for renewal, as far as its clients saw. A domain that no client
// has asked for is not known to lack one.
func (d *Domains) Check(context.Context) error { return d.notices.problems(time.Now()) }

// Private

// allow is the host policy of autocert. The host may have a port.
func (d *Domains) allow(_ context.Context, host string) error {
	if !d.own.Has(host) {
		return fmt.Errorf("%q is not a domain of this server", host)
	}
	return nil
}

// prepareStorage creates a directory that only this user can read, and makes sure that
// files can be created in it.
func prepareStorage(directory string) error {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("create the directory for certificates: %w", err)
	}
	file, err := os.CreateTemp(directory, ".writable-*")
	if err != nil {
		return fmt.Errorf("write to the directory for certificates: %w", err)
	}
	_ = file.Close()
	if err := os.Remove(file.Name()); err != nil {
		return fmt.Errorf("delete from the directory for certificates: %w", err)
	}
	return nil
}

// certificate returns the certificate for a connection. An error ends the connection.
func (d *Domains) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate, err := d.manager.GetCertificate(hello)

	// Anybody can send a false challenge or the name of another host. That is no
	// reason for a log line.
	challenge := slices.Contains(hello.SupportedProtos, acme.ALPNProto)
	if domain := hosts.Name(hello.ServerName); d.own.Has(domain) && !challenge {
		d.notices.note(domain, outcome{certificate: certificate, err: err, reason: d.refusals.reason(domain)}, time.Now())
	}
	return certificate, err
}
