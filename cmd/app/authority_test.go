package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"slipway/internal/devstack/stacktest"
)

// authority is a running certificate authority, Pebble. It believes that every host is
// on 127.0.0.1, and looks for challenges at two ports.
type authority struct {
	directory   string
	management  string
	certificate string       // file with the certificate of its own server
	client      *http.Client // trusts that certificate
	output      *stacktest.Journal
}

// pebbleSettings is the configuration file of Pebble.
type pebbleSettings struct {
	ListenAddress                  string            `json:"listenAddress"`
	ManagementListenAddress        string            `json:"managementListenAddress"`
	Certificate                    string            `json:"certificate"`
	PrivateKey                     string            `json:"privateKey"`
	HTTPPort                       int               `json:"httpPort"`
	TLSPort                        int               `json:"tlsPort"`
	ExternalAccountBindingRequired bool              `json:"externalAccountBindingRequired"`
	ExternalAccountMACKeys         map[string]string `json:"externalAccountMACKeys,omitempty"`
	RetryAfter                     map[string]int    `json:"retryAfter"`
}

// startAuthority starts Pebble. With accounts, which are keys by their id, it serves
// those only.
func startAuthority(t *testing.T, httpPort, httpsPort int, accounts map[string][]byte) *authority {
	t.Helper()
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", stacktest.Port(t)) }
	settings := pebbleSettings{
		ListenAddress: address(), ManagementListenAddress: address(),
		HTTPPort: httpPort, TLSPort: httpsPort,
		ExternalAccountBindingRequired: accounts != nil, ExternalAccountMACKeys: map[string]string{},
		RetryAfter: map[string]int{"authz": 1, "order": 1},
	}
	for id, key := range accounts {
		settings.ExternalAccountMACKeys[id] = base64.RawURLEncoding.EncodeToString(key)
	}
	a := &authority{
		directory:  "https://" + settings.ListenAddress + "/dir",
		management: "https://" + settings.ManagementListenAddress,
		output:     &stacktest.Journal{},
	}
	settings.Certificate, settings.PrivateKey = a.identify(t)
	a.run(t, settings)
	return a
}

// roots are the roots of the certificates that it issues.
func (a *authority) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	response, err := a.client.Get(a.management + "/roots/0")
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(content))
	return pool
}

// named is a client that finds every host at one port of 127.0.0.1, trusts the
// authority, and follows no redirect.
func (a *authority) named(t *testing.T, port int) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: a.roots(t)}, ForceAttemptHTTP2: true,
		DialContext: dialPort(port),
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Private

// identify writes the certificate of the authority's own server, and its key.
func (a *authority) identify(t *testing.T) (certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	server.Close()
	secret, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	certificate, key = filepath.Join(t.TempDir(), "server.pem"), filepath.Join(t.TempDir(), "server.key")
	require.NoError(t, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	a.certificate, a.client = certificate, server.Client()
	return certificate, key
}

func (a *authority) run(t *testing.T, settings pebbleSettings) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pebble")
	build := exec.Command("go", "build", "-modfile=build/pebble.mod", "-o", program, "github.com/letsencrypt/pebble/v2/cmd/pebble")
	build.Dir = inRepository(".")
	said, err := build.CombinedOutput()
	require.NoError(t, err, string(said))
	content, err := json.Marshal(map[string]any{"pebble": settings})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "pebble.json")
	require.NoError(t, os.WriteFile(file, content, 0o600))

	pebble := exec.Command(program, "-strict", "-config", file, "-dnsserver", startNames(t))
	pebble.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	pebble.Stdout, pebble.Stderr = a.output, a.output
	require.NoError(t, pebble.Start())
	t.Cleanup(func() {
		_ = pebble.Process.Kill()
		_ = pebble.Wait()
		if t.Failed() {
			t.Log(a.output.String())
		}
	})
	stacktest.Eventually(t, func() bool {
		response, err := a.client.Get(a.directory)
		return err == nil && response.Body.Close() == nil
	}, "Pebble never answers:\n%s", a.output)
}

// startNames starts a name server that says 127.0.0.1 for every host. Pebble asks over
// TCP, one question a connection.
func startNames(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		serving.Wait()
	})
	serving.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return // the test has ended
			}
			serving.Go(func() { serveName(connection) })
		}
	})
	return listener.Addr().String()
}

func serveName(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	length := make([]byte, 2)
	if _, err := io.ReadFull(connection, length); err != nil {
		return
	}
	question := make([]byte, binary.BigEndian.Uint16(length))
	if _, err := io.ReadFull(connection, question); err != nil {
		return
	}
	answer := answerName(question)
	_, _ = connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
}

// answerName answers a question for an IPv4 address. There are no other records.
func answerName(packet []byte) []byte {
	var message dnsmessage.Message
	if message.Unpack(packet) != nil || len(message.Questions) != 1 {
		return nil
	}
	message.Response, message.Additionals = true, nil
	if question := message.Questions[0]; question.Type == dnsmessage.TypeA {
		message.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	answer, err := message.Pack()
	if err != nil {
		return nil
	}
	return answer
}

func dialPort(port int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
	}
}
