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

// SignedCookie keeps a value with the browser that only this store can make.
type SignedCookie struct {
	name     string
	key      []byte
	lifetime time.Duration
	secure   bool
}

// NewSignedCookie makes a cookie from the store's secret. Each name has a key
// of its own, so that the value of one cookie does not pass for another's.
func NewSignedCookie(secret, name string, lifetime time.Duration, secure bool) *SignedCookie {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "signed cookie "+name, 32)
	if err != nil {
		panic(err) // only for a key longer than the hash allows
	}
	return &SignedCookie{name: name, key: key, lifetime: lifetime, secure: secure}
}

// Value is what the browser's cookie says, and whether there was one that is
// neither forged nor expired.
func (s *SignedCookie) Value(c echo.Context) (string, bool) { return s.Read(c.Request()) }

// Read is Value where there is no Echo yet.
func (s *SignedCookie) Read(r *http.Request) (string, bool) {
	cookie, err := r.Cookie(s.name)
	if err != nil {
		return "", false
	}
	signed, signature, found := cutLast(cookie.Value, ".")
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

// Set gives the browser a value for the cookie's lifetime. A value holds only
// letters, digits and hyphens.
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

// Clear takes the cookie away from the browser.
func (s *SignedCookie) Clear(c echo.Context) {
	c.SetCookie(&http.Cookie{Name: s.name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode})
}

// Private

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
