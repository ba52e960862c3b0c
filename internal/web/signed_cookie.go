package web

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// SignedCookie stores a value in the browser, signed by HMAC-SHA-256 with an
// expiry time. The value is readable by the client, but not forgeable.
type SignedCookie struct {
	name     string
	key      []byte
	lifetime time.Duration
	secure   bool
}

// NewSignedCookie returns the cookie of that name. Its key is derived from the
// application's secret and the name (HKDF, RFC 5869), so that the value of one
// cookie is not valid in another. Secure cookies are sent over HTTPS only, and their
// name has the prefix __Host-: browsers accept such a cookie from this host alone, so
// that another host of the domain cannot plant its own.
func NewSignedCookie(secret, name string, lifetime time.Duration, secure bool) *SignedCookie {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "signed cookie "+name, 32)
	if err != nil {
		panic(err) // impossible: 32 bytes is a valid length
	}
	if secure {
		name = "__Host-" + name
	}
	return &SignedCookie{name: name, key: key, lifetime: lifetime, secure: secure}
}

// Value returns the cookie's value, and whether the request has one that is valid
// and not expired.
func (s *SignedCookie) Value(c echo.Context) (string, bool) { return s.Read(c.Request()) }

// Read is Value for code that has no Echo context. A request may have several cookies
// of one name, of other paths and programs too: the first valid one counts.
func (s *SignedCookie) Read(r *http.Request) (string, bool) {
	for _, cookie := range r.CookiesNamed(s.name) {
		if value, valid := s.verify(cookie.Value); valid {
			return value, true
		}
	}
	return "", false
}

// Sent reports whether the request has a cookie of the name, valid or not.
func (s *SignedCookie) Sent(c echo.Context) bool {
	return len(c.Request().CookiesNamed(s.name)) > 0
}

// Set sends the cookie with a value that expires after the cookie's lifetime. The
// value may contain letters, digits and hyphens only.
func (s *SignedCookie) Set(c echo.Context, value string) {
	signed := value + "." + strconv.FormatInt(time.Now().Add(s.lifetime).Unix(), 10)
	c.SetCookie(&http.Cookie{
		Name:     s.name,
		Value:    signed + "." + s.sign(signed),
		Path:     "/",
		MaxAge:   int(s.lifetime.Seconds()),
		HttpOnly: true,
		Secure:   s.secure,
		SameSite: http.SameSiteLaxMode,
	})
}

// Clear deletes the cookie in the browser.
func (s *SignedCookie) Clear(c echo.Context) {
	c.SetCookie(&http.Cookie{
		Name: s.name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
}

// Private

// verify returns the value of a cookie that is valid and not expired.
func (s *SignedCookie) verify(content string) (string, bool) {
	signed, signature, found := cutLast(content, ".")
	if !found || !hmac.Equal([]byte(signature), []byte(s.sign(signed))) {
		return "", false
	}
	value, expiry, found := cutLast(signed, ".")
	if !found {
		return "", false
	}
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || time.Now().Unix() > seconds {
		return "", false
	}
	return value, true
}

func (s *SignedCookie) sign(text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}
