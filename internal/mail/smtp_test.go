package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSMTP_HandsTheMailToTheServer(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{})
	sender, err := NewSMTP("smtp://"+server.address, "Leeward <orders@leeward.example>")
	require.NoError(t, err)

	require.NoError(t, sender.Send(t.Context(), Message{ID: "order-1", To: "ada@example.com", Subject: "Hello 🏮", Text: "Hello Ada"}))

	mail := server.mail(t)
	require.Contains(t, mail, "MAIL FROM:<orders@leeward.example>")
	require.Contains(t, mail, "RCPT TO:<ada@example.com>")
	require.Contains(t, mail, "Message-ID: <order-1>")
	require.Contains(t, mail, "Subject: =?UTF-8?q?Hello_=F0=9F=8F=AE?=")
	require.Contains(t, mail, "Hello Ada")
}

func TestSMTP_NeverSendsAPasswordInTheClear(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{extensions: []string{"AUTH PLAIN LOGIN CRAM-MD5"}})
	host, port, err := net.SplitHostPort(server.address)
	require.NoError(t, err)
	sender, err := NewSMTP(fmt.Sprintf("smtp://user:hunter2@%s:%s", host, port), "orders@leeward.example")
	require.NoError(t, err)

	err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

	require.ErrorContains(t, err, "STARTTLS")
	require.NotContains(t, err.Error(), "hunter2")
	require.NotContains(t, server.mail(t), "AUTH")
}

func TestSMTP_TrustsNoServerWithoutAValidCertificate(t *testing.T) {
	t.Parallel()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", selfSigned(t))
	require.NoError(t, err)
	server := serveSMTP(t, listener, smtpScript{extensions: []string{"AUTH PLAIN"}})
	sender, err := NewSMTP("smtps://user:hunter2@"+server.address, "orders@leeward.example")
	require.NoError(t, err)

	err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

	require.ErrorContains(t, err, "certificate")
}

func TestSMTP_AuthenticatesOverTLS(t *testing.T) {
	t.Parallel()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", selfSigned(t))
	require.NoError(t, err)
	server := serveSMTP(t, listener, smtpScript{extensions: []string{"AUTH PLAIN"}})
	sender, err := NewSMTP("smtps://user:p%40ss@"+server.address, "orders@leeward.example")
	require.NoError(t, err)
	sender.dial = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext // as if the certificate were valid

	require.NoError(t, sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"}))

	require.Contains(t, server.mail(t), "AUTH PLAIN AHVzZXIAcEBzcw==")
}

func TestSMTP_SaysWhyTheServerRefuses(t *testing.T) {
	t.Parallel()
	for command, step := range map[string]string{"RCPT": "send mail", "DATA": "send mail", "EHLO": "reach mail server"} {
		server := startSMTP(t, smtpScript{replies: map[string]string{command: "550 no such mailbox", "HELO": "550 no such mailbox"}})
		sender, err := NewSMTP("smtp://"+server.address, "orders@leeward.example")
		require.NoError(t, err)

		err = sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

		require.ErrorContains(t, err, step, command)
		require.ErrorContains(t, err, "no such mailbox", command)
	}
}

func TestSMTP_AMailThatTheServerTookIsSent(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{replies: map[string]string{"QUIT": "421 go away"}})
	sender, err := NewSMTP("smtp://"+server.address, "orders@leeward.example")
	require.NoError(t, err)

	// Else it would be sent again.
	require.NoError(t, sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"}))
}

func TestSMTP_GivesUpOnASilentServer(t *testing.T) {
	t.Parallel()
	for _, silentAt := range []string{"", "EHLO", "MAIL", "DATA", "."} {
		server := startSMTP(t, smtpScript{silentAt: silentAt, silent: true})
		sender, err := NewSMTP("smtp://"+server.address, "orders@leeward.example")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		started := time.Now()

		err = sender.Send(ctx, Message{To: "ada@example.com", Subject: "Hello", Text: "x"})

		require.ErrorIs(t, err, context.DeadlineExceeded, silentAt)
		require.Less(t, time.Since(started), 5*time.Second, silentAt)
	}
}

func TestSMTP_LeavesNoConnectionOpen(t *testing.T) {
	t.Parallel()
	server := startSMTP(t, smtpScript{extensions: []string{"AUTH PLAIN"}, keepOpen: true})
	sender, err := NewSMTP("smtp://user:hunter2@"+server.address, "orders@leeward.example")
	require.NoError(t, err)

	require.Error(t, sender.Send(t.Context(), Message{To: "ada@example.com", Subject: "Hello", Text: "x"}))

	server.mail(t) // ends with the connection
}

func TestSMTP_DoesNotRepeatAnAddressThatItCannotRead(t *testing.T) {
	t.Parallel()

	for _, address := range []string{"smtp://user:hunter2@host:port", "smtp://user:hunter2@"} {
		_, err := NewSMTP(address, "orders@leeward.example")

		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// Private

// smtpScript is how a server of these tests behaves.
type smtpScript struct {
	extensions []string
	replies    map[string]string // by command, instead of the usual ones
	silent     bool
	silentAt   string // the command that gets no answer; empty: not even a greeting
	keepOpen   bool   // waits for the client to close
}

// smtpServer is a mail server for one connection.
type smtpServer struct {
	address string
	heard   chan string // all that the client said, once it has gone
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
	server := &smtpServer{address: listener.Addr().String(), heard: make(chan string, 1)}
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		server.heard <- script.talk(connection)
	}()
	return server
}

// mail is all that the client said.
func (s *smtpServer) mail(t *testing.T) string {
	t.Helper()
	select {
	case heard := <-s.heard:
		return heard
	case <-time.After(10 * time.Second):
		require.FailNow(t, "the connection stays open")
		return ""
	}
}

func (s smtpScript) talk(connection net.Conn) string {
	var heard strings.Builder
	say := func(reply string) { fmt.Fprintf(connection, "%s\r\n", reply) }
	if !s.silent || s.silentAt != "" {
		say("220 test")
	}
	inData := false
	for lines := bufio.NewScanner(connection); lines.Scan(); {
		line := lines.Text()
		heard.WriteString(line + "\n")
		if inData && line != "." {
			continue
		}
		command := strings.ToUpper(strings.Fields(line)[0])
		if s.silent && (s.silentAt == "" || command == s.silentAt) {
			continue
		}
		if reply, other := s.replies[command]; other {
			say(reply)
			continue
		}
		inData = false
		switch command {
		case "EHLO":
			say("250-test")
			for _, extension := range s.extensions {
				say("250-" + extension)
			}
			say("250 8BITMIME")
		case "DATA":
			inData = true
			say("354 go on")
		case "AUTH":
			say("235 welcome")
		case "QUIT":
			say("221 bye")
			if !s.keepOpen {
				return heard.String()
			}
		default:
			say("250 ok")
		}
	}
	return heard.String()
}

// selfSigned is a certificate that nobody vouches for.
func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	t.Cleanup(server.Close)
	return &tls.Config{Certificates: server.TLS.Certificates}
}
