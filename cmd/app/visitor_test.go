package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// visitor is one browser.
type visitor struct {
	t    *testing.T
	url  string
	http *http.Client
}

func newVisitor(t *testing.T, url string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &visitor{t: t, url: url, http: &http.Client{Jar: jar, Timeout: patience}}
}

func (v *visitor) get(path string) (status int, body string) {
	v.t.Helper()
	response, err := v.http.Get(v.url + path)
	require.NoError(v.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(v.t, err)
	return response.StatusCode, string(content)
}

func (v *visitor) post(path string, fields url.Values) (status int, at, body string) {
	v.t.Helper()
	response, err := v.http.PostForm(v.url+path, fields)
	require.NoError(v.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(v.t, err)
	return response.StatusCode, response.Request.URL.Path, string(content)
}

// newVisitorAt is a browser with an IP address of its own, for a web process that
// trusts X-Forwarded-For of 127.0.0.1.
func newVisitorAt(t *testing.T, url string) *visitor {
	t.Helper()
	v := newVisitor(t, url)
	number := nextAddress.Add(1)
	v.http.Transport = forwardedFor(fmt.Sprintf("203.0.%d.%d", number/250%250, number%250+1))
	return v
}

var nextAddress atomic.Int32

// forwardedFor adds X-Forwarded-For with the address to every request.
type forwardedFor string

func (f forwardedFor) RoundTrip(request *http.Request) (*http.Response, error) {
	named := request.Clone(request.Context())
	named.Header.Set("X-Forwarded-For", string(f))
	return http.DefaultTransport.RoundTrip(named)
}

// newNote is the form of the test application, filled in.
func newNote() url.Values { return url.Values{"key": {rand.Text()}, "body": {"Back at five."}} }

// writeNote fills in the form for a note, by a visitor whom the pages know.
func writeNote(v *visitor) (path string, form url.Values) {
	status, _ := v.get("/thanks")
	require.Equal(v.t, http.StatusOK, status)
	return "/notes", newNote()
}
