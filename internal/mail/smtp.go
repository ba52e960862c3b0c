package mail

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// smtpTimeout bounds one mail's whole way to the server.
const smtpTimeout = 20 * time.Second

// SMTP sends mail through a server.
type SMTP struct {
	client *gomail.Client
	from   string
}

// NewSMTP sends through the server at address, smtp://user:password@host:port
// (STARTTLS when the server offers it; required when there is a password) or
// smtps:// (TLS from the start). Ports default to 587 and 465.
func NewSMTP(address, from string) (*SMTP, error) {
	server, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("read address of the mail server: it must look like smtp://user:password@host:587")
	}
	options := []gomail.Option{gomail.WithTimeout(smtpTimeout), gomail.WithTLSPolicy(gomail.TLSOpportunistic), gomail.WithPort(587)}
	if password, has := server.User.Password(); has {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(server.User.Username()), gomail.WithPassword(password))
	}
	if server.Scheme == "smtps" {
		options = append(options, gomail.WithSSL(), gomail.WithPort(465))
	}
	if port, err := strconv.Atoi(server.Port()); err == nil {
		options = append(options, gomail.WithPort(port))
	}
	client, err := gomail.NewClient(server.Hostname(), options...)
	if err != nil {
		return nil, fmt.Errorf("prepare mail server: %w", err)
	}
	return &SMTP{client: client, from: from}, nil
}

// Send hands the mail to the server.
func (s *SMTP) Send(ctx context.Context, message Message) error {
	composed, err := compose(s.from, message)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, smtpTimeout)
	defer cancel()
	if err := s.client.DialAndSendWithContext(ctx, composed); err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	return nil
}
