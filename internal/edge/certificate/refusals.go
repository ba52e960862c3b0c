package certificate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// refusals remembers from the answers of a certificate authority why it could not
// verify a domain. autocert drops these reasons, because it then tries another kind of
// challenge, and returns only that none is left.
type refusals struct {
	next    http.RoundTripper
	mutex   sync.Mutex
	reasons map[string]map[string]string // by domain and kind of challenge
}

func newRefusals(next http.RoundTripper) *refusals {
	if next == nil {
		next = http.DefaultTransport
	}
	return &refusals{next: next, reasons: map[string]map[string]string{}}
}

// RoundTrip does what the next transport does.
func (r *refusals) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err != nil || !strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		return response, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	r.remember(content)
	response.Body = io.NopCloser(bytes.NewReader(content))
	return response, nil
}

// reason returns the last reasons of a domain, and "" when there are none.
func (r *refusals) reason(domain string) string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(r.reasons[domain])) {
		parts = append(parts, fmt.Sprintf("%s: %s", kind, r.reasons[domain][kind]))
	}
	return strings.Join(parts, "; ")
}

// Private

// authorization is what an answer says about a domain (RFC 8555, section 7.1.4). Other
// answers have no challenges.
type authorization struct {
	Identifier struct{ Value string }
	Challenges []struct {
		Type  string
		Error struct{ Detail string }
	}
}

func (r *refusals) remember(content []byte) {
	var answer authorization
	if json.Unmarshal(content, &answer) != nil {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, challenge := range answer.Challenges {
		if challenge.Error.Detail == "" {
			continue
		}
		domain := answer.Identifier.Value
		if r.reasons[domain] == nil {
			r.reasons[domain] = map[string]string{}
		}
		r.reasons[domain][challenge.Type] = challenge.Error.Detail
	}
}
