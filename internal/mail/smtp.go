package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"slipway/internal/telemetry"
)

// smtpTimeout bounds the delivery of one mail, from connecting to the last reply.
const smtpTimeout = 20 * time.Second

// SMTP sends mail through a mail server (RFC 5321).
type SMTP struct {
	host     string
	options  []gomail.Option
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	from     string
	reporter *telemetry.Reporter
}

// NewSMTP returns a sender for the server at address, which is a URL: with
// smtp://user:password@host:port, it uses STARTTLS when the server offers it, and
// requires it when there is a password; with smtps://, it uses TLS from the start.
// The default ports are 587 and 465. It does not connect. The reporter gets the
// failures that concern more than one mail.
func NewSMTP(address, from string, reporter *telemetry.Reporter) (*SMTP, error) {
	server, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("parse the URL of the mail server: it must look like smtp://user:password@host:587")
	}
	s := &SMTP{host: server.Hostname(), dial: new(net.Dialer).DialContext, from: from, reporter: reporter}
	s.options = []gomail.Option{gomail.WithTimeout(smtpTimeout), gomail.WithTLSPolicy(gomail.TLSOpportunistic), gomail.WithPort(587)}
	password, authenticates := server.User.Password()
	if authenticates {
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(server.User.Username()), gomail.WithPassword(password))
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
		return nil, fmt.Errorf("configure mail server: %w", err)
	}
	return s, nil
}

// Send delivers the mail to the server. It returns nil when the server has accepted
// the mail.
func (s *SMTP) Send(ctx context.Context, message Message) error {
	composed, err := compose(ctx, s.from, message)
	if err != nil {
		return err
	}
	err = s.send(ctx, composed)
	if err != nil && !errors.Is(err, ErrUndeliverable) {
		s.reporter.Report(telemetry.Mail, "SMTP.Send", err)
	}
	return err
}

// Private

func (s *SMTP) send(ctx context.Context, composed *gomail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	options := append(slices.Clip(s.options), gomail.WithDialContextFunc(s.dialUntil(ctx)))
	client, err := gomail.NewClient(s.host, options...)
	if err != nil {
		return fmt.Errorf("configure mail server: %w", err)
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("connect to mail server: %w", errors.Join(connectError(err), ctx.Err()))
	}
	err = client.SendWithSMTPClient(connection, composed)
	if err != nil && !composed.IsDelivered() { // an error after the delivery would send the mail twice
		return fmt.Errorf("send mail: %w", errors.Join(sendError(err), ctx.Err()))
	}
	_ = connection.Quit() // the server has already accepted the mail
	return nil
}

// connectError sorts an error before the first mail: the greeting, TLS and the
// login. A negative reply (5yz) concerns this sender and not one mail.
func connectError(err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 500 {
		return &senderRefused{err}
	}
	return err
}

// sendError sorts an error of one mail. The client must not repeat a mail that the
// server refuses by a reply of 5yz (RFC 5321, 4.2.1), except when the reply asks
// for another login or refuses the sender's address.
func sendError(err error) error {
	var failure *gomail.SendError
	if !errors.As(err, &failure) {
		return err
	}
	reason, _, _ := strings.Cut(err.Error(), ", affected ") // the library adds the recipient, which is not for logs
	err = errors.New(reason)
	switch {
	case failure.ErrorCode() < 500:
		return err
	case slices.Contains(loginReplies, failure.ErrorCode()), failure.Reason == gomail.ErrSMTPMailFrom:
		return &senderRefused{err}
	}
	return fmt.Errorf("%w: %w", ErrUndeliverable, err)
}

// loginReplies are the codes of RFC 4954 that ask for a login, or for another one.
var loginReplies = []int{530, 534, 535, 538}

// senderRefused is an ErrSenderRefused with its reason.
type senderRefused struct{ reason error }

func (r *senderRefused) Error() string   { return ErrSenderRefused.Error() + ": " + r.reason.Error() }
func (r *senderRefused) Unwrap() []error { return []error{ErrSenderRefused, r.reason} }

// Class makes the reporter tell operators at once.
func (r *senderRefused) Class() string { return "auth" }

// dialUntil returns a dial function whose connections close when ctx ends. The
// library ignores contexts after it has connected, and does not close a connection
// after an error.
func (s *SMTP) dialUntil(ctx context.Context) func(context.Context, string, string) (net.Conn, error) {
	return func(dialing context.Context, network, address string) (net.Conn, error) {
		connection, err := s.dial(dialing, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = connection.Close() })
		return connection, nil
	}
}
