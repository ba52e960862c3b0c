package mail

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

func TestSMTP_DeliversTheMailToTheServer(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{})
	sender, err := NewSMTP("smtp://"+server.address, "App <post@app.example>", newReporter())
	require.NoError(t, err)

	require.NoError(t, sender.Send(t.Context(), Message{ID: "letter-1", To: "ada@example.com", Subject: "Hello 🏮", Text: "Hello Ada"}))

	mail := server.mail(t)
	require.Contains(t, mail, "MAIL FROM:<post@app.example>")
	require.Contains(t, mail, "RCPT TO:<ada@example.com>")
	require.Contains(t, mail, "Message-ID: <letter-1>")
	require.Contains(t, mail, "Subject: =?UTF-8?q?Hello_=F0=9F=8F=AE?=")
	require.Contains(t, mail, "Hello Ada")
}

func TestSMTP_NeverSendsAPasswordUnencrypted(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{extensions: []string{"AUTH PLAIN LOGIN CRAM-MD5"}})
	host, port, err := net.SplitHostPort(server.address)
	require.NoError(t, err)
	sender, err := NewSMTP(fmt.Sprintf("smtp://user:hunter2@%s:%s", host, port), "post@app.example", newReporter())
	require.NoError(t, err)

	err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

	require.ErrorContains(t, err, "STARTTLS")
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, server.mail(t), "AUTH")
}

func TestSMTP_RefusesAServerWithoutAValidCertificate(t *testing.T) {
	t.Parallel()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", selfSigned(t))
	require.NoError(t, err)
	server := serveSMTP(t, listener, smtpScript{extensions: []string{"AUTH PLAIN"}})
	sender, err := NewSMTP("smtps://user:hunter2@"+server.address, "post@app.example", newReporter())
	require.NoError(t, err)

	err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

	require.ErrorContains(t, err, "certificate")
}

func TestSMTP_AuthenticatesOverTLS(t *testing.T) {
	t.Parallel()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", selfSigned(t))
	require.NoError(t, err)
	server := serveSMTP(t, listener, smtpScript{extensions: []string{"AUTH PLAIN"}})
	sender, err := NewSMTP("smtps://user:p%40ss@"+server.address, "post@app.example", newReporter())
	require.NoError(t, err)
	sender.dial = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext

	require.NoError(t, sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"}))

	require.Contains(t, server.mail(t), "AUTH PLAIN AHVzZXIAcEBzcw==")
}

func TestSMTP_ErrorHasTheServersReason(t *testing.T) {
	t.Parallel()
	for command, step := range map[string]string{"RCPT": "send mail", "DATA": "send mail", "EHLO": "connect to mail server"} {
		replies := map[string]string{command: "550 no such mailbox", "HELO": "550 no such mailbox"}
		server := startSMTP(t, smtpScript{replies: replies})
		sender, err := NewSMTP("smtp://"+server.address, "post@app.example", newReporter())
		require.NoError(t, err)

		err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

		require.ErrorContains(t, err, step, command)
		require.ErrorContains(t, err, "no such mailbox", command)
	}
}

func TestSMTP_IgnoresAnErrorAfterTheMailIsAccepted(t *testing.T) {
	t.Parallel()

	for _, command := range []string{"RSET", "QUIT"} {
		server := startSMTP(t, smtpScript{replies: map[string]string{command: "421 go away"}})
		sender, err := NewSMTP("smtp://"+server.address, "post@app.example", newReporter())
		require.NoError(t, err)

		// An error would make the caller send the mail again.
		require.NoError(t, sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"}), command)
	}
}

func TestSMTP_TellsWhetherAnotherAttemptCanSucceed(t *testing.T) {
	t.Parallel()
	const never, operator, later = "never", "after an operator acts", "later"

	for reply, expected := range map[string]string{
		"RCPT 550 5.1.1 no such user":              never,
		"RCPT 553 5.6.7 no internationalized mail": never,
		"DATA 554 5.6.0 no such content":           never,
		". 552 5.2.2 mailbox is full":              never,
		"RCPT 450 4.2.1 busy":                      later,
		"DATA 421 4.3.2 shutting down":             later,
		". 451 4.3.0 try later":                    later,
		"MAIL 451 4.3.0 try later":                 later,
		"AUTH 454 4.7.0 try later":                 later,
		"AUTH 535 5.7.8 wrong password":            operator,
		"AUTH 534 5.7.9 too weak":                  operator,
		"MAIL 530 5.7.0 authentication required":   operator,
		"MAIL 550 5.7.1 not your address":          operator,
		"RCPT 530 5.7.0 authentication required":   operator,
		". 538 5.7.11 encryption required":         operator,
		"greeting 554 5.7.1 you are blocked":       operator,
		"greeting 421 4.3.2 too many connections":  later,
		"EHLO 550 5.7.1 you are blocked":           operator,
	} {
		t.Run(reply, func(t *testing.T) {
			t.Parallel()
			command, text, _ := strings.Cut(reply, " ")
			replies := map[string]string{command: text}
			if command == "EHLO" {
				replies["HELO"] = text
			}
			listener, err := tls.Listen("tcp", "127.0.0.1:0", selfSigned(t))
			require.NoError(t, err)
			server := serveSMTP(t, listener, smtpScript{extensions: []string{"AUTH PLAIN"}, replies: replies})
			journal := &stacktest.Journal{}
			reporter := telemetry.NewReporter(journal.Logger(), prometheus.NewRegistry())
			sender, err := NewSMTP("smtps://user:hunter2@"+server.address, "post@app.example", reporter)
			require.NoError(t, err)
			sender.dial = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext

			err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

			code, reason, _ := strings.Cut(text, " ")
			require.ErrorContains(t, err, code)
			require.ErrorContains(t, err, reason)
			require.NotContains(t, err.Error(), "ada@example.com")
			require.Equal(t, expected == never, errors.Is(err, ErrUndeliverable), err)
			require.Equal(t, expected == operator, errors.Is(err, ErrSenderRefused), err)
			require.Equal(t, expected == operator, strings.Contains(journal.String(), "level=ERROR"), journal.String())
			require.Equal(t, expected != never, strings.Contains(journal.String(), "Backend call failed"), journal.String())
		})
	}
}

func TestSMTP_AnotherAttemptCanSucceedWhenTheServerIsUnavailable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	sender, err := NewSMTP("smtp://"+listener.Addr().String(), "post@app.example", newReporter())
	require.NoError(t, err)

	err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NotErrorIs(t, err, ErrUndeliverable)
	require.NotErrorIs(t, err, ErrSenderRefused)
}

func TestSMTP_SendsAddressesInASCIIOnly(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{ascii: true})
	sender, err := NewSMTP("smtp://"+server.address, "Bücher <post@bücher.example>", newReporter())
	require.NoError(t, err)

	require.NoError(t, sender.Send(t.Context(), Message{To: "Jürgen <info@Straße.example>", Subject: "Hello", Text: "x"}))

	mail := server.mail(t)
	require.Contains(t, mail, "MAIL FROM:<post@xn--bcher-kva.example>")
	require.Contains(t, mail, "RCPT TO:<info@xn--strae-oqa.example>")
	for _, to := range []string{"jürgen@example.com", "ada@[192.0.2.1]", "=?utf-8?q?ada?=@example.com"} {
		err := sender.Send(t.Context(), Message{To: to, Subject: "Hello", Text: "x"}) // to no server: this one has ended
		require.ErrorIs(t, err, ErrUndeliverable, to)
		require.ErrorContains(t, err, "recipient of mail", to)
	}
}

func TestSMTP_SendsTheHeadersOfAMailThatEndsByOneClick(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{})
	sender, err := NewSMTP("smtp://"+server.address, "post@app.example", newReporter())
	require.NoError(t, err)
	link := "https://app.example/unsubscribe/" + strings.Repeat("A", 26)

	require.NoError(t, sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x", Unsubscribe: link}))

	mail := server.mail(t)
	require.Contains(t, mail, "\nList-Unsubscribe:\n <"+link+">\n") // folded
	require.Contains(t, mail, "\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n")
}

func TestSMTP_EndsWithItsContextWhenTheServerIsSilent(t *testing.T) {
	t.Parallel()
	for _, silentAt := range []string{"", "EHLO", "MAIL", "DATA", "."} {
		server := startSMTP(t, smtpScript{silentAt: silentAt, silent: true})
		sender, err := NewSMTP("smtp://"+server.address, "post@app.example", newReporter())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		started := time.Now()

		err = sender.Send(ctx, Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

		require.ErrorIs(t, err, context.DeadlineExceeded, silentAt)
		require.Less(t, time.Since(started), 5*time.Second, silentAt)
	}
}

func TestSMTP_ClosesTheConnectionAfterAnError(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{extensions: []string{"AUTH PLAIN"}, keepOpen: true})
	sender, err := NewSMTP("smtp://user:hunter2@"+server.address, "post@app.example", newReporter())
	require.NoError(t, err)

	require.Error(t, sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"}))

	server.mail(t) // returns when the connection is closed
}

func TestNewSMTP_ErrorDoesNotContainThePassword(t *testing.T) {
	t.Parallel()

	for _, address := range []string{"smtp://user:hunter2@host:port", "smtp://user:hunter2@"} {
		_, err := NewSMTP(address, "post@app.example", newReporter())

		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// Private

// smtpScript is the behaviour of an smtpServer.
type smtpScript struct {
	extensions []string
	replies    map[string]string // by command; others get the usual reply
	silent     bool
	silentAt   string // the command without a reply; empty: the server sends no greeting
	keepOpen   bool   // waits for the client to close
	ascii      bool   // refuses addresses beyond ASCII, as a server without SMTPUTF8 does
}

func newReporter() *telemetry.Reporter {
	return telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// smtpServer is a mail server for one connection.
type smtpServer struct {
	address  string
	received chan string // all lines of the client, when the connection is closed
}

func startSMTP(t *testing.T, script smtpScript) *smtpServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveSMTP(t, listener, script)
}

func serveSMTP(t *testing.T, listener net.Listener, script smtpScript) *smtpServer {
	t.Helper()
	t.Cleanup(func() { _ = listener.Close() })
	server := &smtpServer{address: listener.Addr().String(), received: make(chan string, 1)}
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		server.received <- script.talk(connection)
	}()
	return server
}

// mail waits for the end of the connection and returns all lines of the client.
func (s *smtpServer) mail(t *testing.T) string {
	t.Helper()
	select {
	case received := <-s.received:
		return received
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the connection stays open")
		return ""
	}
}

func (s smtpScript) talk(connection net.Conn) string {
	var received strings.Builder
	reply := func(text string) { fmt.Fprintf(connection, "%s\r\n", text) }
	if !s.silent || s.silentAt != "" {
		reply(cmp.Or(s.replies["greeting"], "220 test"))
	}
	inData := false
	for lines := bufio.NewScanner(connection); lines.Scan(); {
		line := lines.Text()
		received.WriteString(line + "\n")
		if inData && line != "." {
			continue
		}
		command := strings.ToUpper(strings.Fields(line)[0])
		if s.silent && (s.silentAt == "" || command == s.silentAt) {
			continue
		}
		inData = false
		if text, other := s.replies[command]; other {
			reply(text)
			continue
		}
		if s.ascii && strings.ContainsFunc(line, func(r rune) bool { return r > unicode.MaxASCII }) {
			reply("553 5.6.7 addresses are in ASCII here")
			continue
		}
		switch command {
		case "EHLO":
			reply("250-test")
			for _, extension := range s.extensions {
				reply("250-" + extension)
			}
			reply("250 8BITMIME")
		case "DATA":
			inData = true
			reply("354 go on")
		case "AUTH":
			reply("235 welcome")
		case "QUIT":
			reply("221 bye")
			if !s.keepOpen {
				return received.String()
			}
		default:
			reply("250 ok")
		}
	}
	return received.String()
}

// selfSigned returns a configuration with a certificate that no authority signed.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	t.Cleanup(server.Close)
	return &tls.Config{Certificates: server.TLS.Certificates}
}
