package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// shopper is one browser.
type shopper struct {
	t    *testing.T
	url  string
	http *http.Client
}

func newShopper(t *testing.T, url string) *shopper {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &shopper{t: t, url: url, http: &http.Client{Jar: jar, Timeout: patience}}
}

func (s *shopper) get(path string) (status int, body string) {
	s.t.Helper()
	response, err := s.http.Get(s.url + path)
	require.NoError(s.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, string(content)
}

func (s *shopper) post(path string, fields url.Values) (status int, at, body string) {
	s.t.Helper()
	response, err := s.http.PostForm(s.url+path, fields)
	require.NoError(s.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, response.Request.URL.Path, string(content)
}

func field(t *testing.T, body, name string) string {
	t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	require.Len(t, found, 2)
	return found[1]
}

func itoa(number int64) string { return strconv.FormatInt(number, 10) }

// newShopperAt is a browser with an address of its own, for a store that
// trusts what X-Forwarded-For says.
func newShopperAt(t *testing.T, url string) *shopper {
	t.Helper()
	s := newShopper(t, url)
	number := nextAddress.Add(1)
	s.http.Transport = forwardedFor(fmt.Sprintf("203.0.%d.%d", number/250%250, number%250+1))
	return s
}

var nextAddress atomic.Int32

// forwardedFor is a proxy's word for where requests come from.
type forwardedFor string

func (f forwardedFor) RoundTrip(request *http.Request) (*http.Response, error) {
	named := request.Clone(request.Context())
	named.Header.Set("X-Forwarded-For", string(f))
	return http.DefaultTransport.RoundTrip(named)
}
