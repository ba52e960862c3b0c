package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// smtpTimeout bounds one mail's whole way to the server.
const smtpTimeout = 20 * time.Second

// SMTP sends mail through a server.
type SMTP struct {
	host    string
	tls     bool // from the start
	options []gomail.Option
	from    string
}

// NewSMTP sends through the server at address, smtp://user:password@host:port
// (STARTTLS when the server offers it; required when there is a password) or
// smtps:// (TLS from the start). Ports default to 587 and 465.
func NewSMTP(address, from string) (*SMTP, error) {
	server, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("read address of the mail server: it must look like smtp://user:password@host:587")
	}
	s := &SMTP{host: server.Hostname(), tls: server.Scheme == "smtps", from: from}
	s.options = []gomail.Option{gomail.WithTimeout(smtpTimeout), gomail.WithTLSPolicy(gomail.TLSOpportunistic), gomail.WithPort(587)}
	if password, has := server.User.Password(); has {
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(server.User.Username()), gomail.WithPassword(password))
	}
	if s.tls {
		s.options = append(s.options, gomail.WithSSL(), gomail.WithPort(465))
	}
	if port, err := strconv.Atoi(server.Port()); err == nil {
		s.options = append(s.options, gomail.WithPort(port))
	}
	if _, err := gomail.NewClient(s.host, s.options...); err != nil {
		return nil, fmt.Errorf("prepare mail server: %w", err)
	}
	return s, nil
}

// Send hands the mail to the server. It returns when ctx ends, whatever the
// server does.
func (s *SMTP) Send(ctx context.Context, message Message) error {
	composed, err := compose(s.from, message)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	client, err := gomail.NewClient(s.host, append([]gomail.Option{gomail.WithDialContextFunc(s.dialUntilDone(ctx))}, s.options...)...)
	if err != nil {
		return fmt.Errorf("prepare mail server: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, composed); err != nil {
		return fmt.Errorf("send mail: %w", errors.Join(err, ctx.Err()))
	}
	return nil
}

// Private

// dialUntilDone connects, and closes the connection when ctx ends: the library
// heeds its context only while it connects, and a worker that is to stop
// cannot wait for a server that has fallen silent.
func (s *SMTP) dialUntilDone(ctx context.Context) gomail.DialContextFunc {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		var dialer interface {
			DialContext(ctx context.Context, network, address string) (net.Conn, error)
		} = &net.Dialer{}
		if s.tls {
			dialer = &tls.Dialer{Config: &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}}
		}
		connection, err := dialer.DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = connection.Close() })
		return connection, nil
	}
}
