package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// smtpTimeout bounds one mail's whole way to the server.
const smtpTimeout = 20 * time.Second

// SMTP sends mail through a server.
type SMTP struct {
	host    string
	options []gomail.Option
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
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
	s := &SMTP{host: server.Hostname(), dial: new(net.Dialer).DialContext, from: from}
	s.options = []gomail.Option{gomail.WithTimeout(smtpTimeout), gomail.WithTLSPolicy(gomail.TLSOpportunistic), gomail.WithPort(587)}
	password, authenticates := server.User.Password()
	if authenticates {
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(server.User.Username()), gomail.WithPassword(password))
	}
	switch {
	case server.Scheme == "smtps":
		s.dial = new(tls.Dialer).DialContext
		s.options = append(s.options, gomail.WithPort(465))
	case authenticates:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if port, err := strconv.Atoi(server.Port()); err == nil {
		s.options = append(s.options, gomail.WithPort(port))
	}
	if _, err := gomail.NewClient(s.host, s.options...); err != nil {
		return nil, fmt.Errorf("prepare mail server: %w", err)
	}
	return s, nil
}

// Send hands the mail to the server.
func (s *SMTP) Send(ctx context.Context, message Message) error {
	composed, err := compose(s.from, message)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	client, err := gomail.NewClient(s.host, append(slices.Clip(s.options), gomail.WithDialContextFunc(s.dialUntilEndOf(ctx)))...)
	if err != nil {
		return fmt.Errorf("prepare mail server: %w", err)
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reach mail server: %w", errors.Join(err, ctx.Err()))
	}
	if err := client.SendWithSMTPClient(connection, composed); err != nil {
		return fmt.Errorf("send mail: %w", errors.Join(err, ctx.Err()))
	}
	_ = connection.Quit() // the server has the mail, whatever it says to a goodbye
	return nil
}

// Private

// dialUntilEndOf connects, and closes the connection when ctx ends: the library
// heeds no context while it talks, and leaves open what it cannot use.
func (s *SMTP) dialUntilEndOf(ctx context.Context) func(context.Context, string, string) (net.Conn, error) {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		connection, err := s.dial(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = connection.Close() })
		return connection, nil
	}
}
