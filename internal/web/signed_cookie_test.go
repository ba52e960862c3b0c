package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestSignedCookie_ReturnsTheValueThatWasSet(t *testing.T) {
	t.Parallel()
	visit := NewSignedCookie(strings.Repeat("k", 32), "visit", time.Hour, true)

	cookie := setCookie(visit, "0199-abc")
	value, ok := readCookie(visit, cookie)

	require.True(t, ok)
	require.Equal(t, "0199-abc", value)
	require.True(t, cookie.HttpOnly)
	require.True(t, cookie.Secure)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	require.Equal(t, "/", cookie.Path)
	require.Equal(t, 3600, cookie.MaxAge)
	require.Empty(t, cookie.Domain)
}

func TestSignedCookie_RefusesForgedValues(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("k", 32)
	visit := NewSignedCookie(secret, "visit", time.Hour, false)
	genuine := setCookie(visit, "0199")
	parts := strings.Split(genuine.Value, ".")
	other := setCookie(NewSignedCookie(secret, "session", time.Hour, false), "0199")
	foreign := setCookie(NewSignedCookie(strings.Repeat("x", 32), "visit", time.Hour, false), "0199")

	for name, value := range map[string]string{
		"none":             "",
		"no signature":     "0199",
		"dots":             "...",
		"other value":      "0200." + parts[1] + "." + parts[2],
		"longer lifetime":  parts[0] + ".9999999999." + parts[2],
		"cut signature":    genuine.Value[:len(genuine.Value)-1],
		"empty signature":  parts[0] + "." + parts[1] + ".",
		"of other secret":  foreign.Value,
		"of other name":    other.Value,
		"moved separators": parts[0] + parts[1] + "." + parts[2],
	} {
		_, ok := readCookie(visit, &http.Cookie{Name: "visit", Value: value})

		require.False(t, ok, name)
	}
	_, ok := readCookie(visit, nil)
	require.False(t, ok)
}

func TestSignedCookie_Expires(t *testing.T) {
	t.Parallel()
	visit := NewSignedCookie(strings.Repeat("k", 32), "visit", -2*time.Second, false)

	_, ok := readCookie(visit, setCookie(visit, "0199"))

	require.False(t, ok)
}

func TestSignedCookie_TheFirstValidOneOfItsNameCounts(t *testing.T) {
	t.Parallel()
	visit := NewSignedCookie(strings.Repeat("k", 32), "visit", time.Hour, false)
	expired := setCookie(NewSignedCookie(strings.Repeat("k", 32), "visit", -time.Hour, false), "0197")
	genuine, second := setCookie(visit, "0199"), setCookie(visit, "0200")
	read := func(cookies string) (string, bool) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.Header.Add("Cookie", "other=1; visit=of-another-program")
		request.Header.Add("Cookie", cookies)
		return visit.Read(request)
	}

	for _, cookies := range []string{
		genuine.String(), "visit=; " + genuine.String(), `visit="a b"; ` + genuine.String(), expired.String() + "; " + genuine.String(),
		genuine.String() + "; visit=forged", genuine.String() + "; " + second.String(), "Visit=x; visit=a=b; " + genuine.String(),
	} {
		value, ok := read(strings.ReplaceAll(cookies, "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax", ""))

		require.True(t, ok, cookies)
		require.Equal(t, "0199", value, cookies)
	}
	_, ok := read("visit=forged; visit=expired")
	require.False(t, ok)
}

func TestSignedCookie_OnlyThisHostCanSetASecureOne(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("k", 32)
	secure, plain := NewSignedCookie(secret, "visit", time.Hour, true), NewSignedCookie(secret, "visit", time.Hour, false)
	planted := setCookie(plain, "of-eve")

	cookie := setCookie(secure, "0199")
	value, ok := readCookie(secure, cookie)
	_, foreign := readCookie(secure, planted)

	require.True(t, ok)
	require.Equal(t, "0199", value)
	require.False(t, foreign, "a sibling host can plant a cookie without the prefix")
	// What browsers demand of a cookie with the prefix.
	require.Equal(t, "__Host-visit", cookie.Name)
	require.True(t, cookie.Secure)
	require.Equal(t, "/", cookie.Path)
	require.Empty(t, cookie.Domain)
	require.Equal(t, "visit", planted.Name)
}

// Private

func setCookie(signed *SignedCookie, value string) *http.Cookie {
	recorder := httptest.NewRecorder()
	signed.Set(echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), recorder), value)
	return recorder.Result().Cookies()[0]
}

func readCookie(signed *SignedCookie, cookie *http.Cookie) (string, bool) {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	if cookie != nil {
		request.AddCookie(cookie)
	}
	return signed.Value(echo.New().NewContext(request, httptest.NewRecorder()))
}
