package throttle

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestRequest_PathHasOneForm(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{"/login", "/login/", "//login", "/%6Cogin", "/./login", "/x/../login", "/login//", "/login/.",
		"/login?x=1", "///login%2F"} {
		require.Equal(t, "/login", newTestRequest(httptest.NewRequest(http.MethodGet, spelling, nil)).Path, spelling)
	}
	require.Equal(t, "/", newTestRequest(httptest.NewRequest(http.MethodGet, "/", nil)).Path)
	require.Equal(t, "/%6Cogin", newTestRequest(httptest.NewRequest(http.MethodGet, "/%256Cogin", nil)).Path, "decoded once, as by the router")
}

func TestAccount_AllSpellingsHaveOneKey(t *testing.T) {
	t.Parallel()
	key := login(url.Values{"email": {"ada@example.com"}}).Account("email")

	require.Regexp(t, `^account [0-9a-f]{16}$`, key)
	for _, spelling := range []string{" ada@example.com\t", "ADA@Example.COM", "ａｄａ@example.com", "ada＠example.com"} {
		require.Equal(t, key, login(url.Values{"email": {spelling}}).Account("email"), spelling)
	}
	require.NotEqual(t, key, login(url.Values{"email": {"bob@example.com"}}).Account("email"))
	require.Empty(t, login(url.Values{"name": {"ada@example.com"}}).Account("email"))
}

func TestAccount_IsFoundInEveryFormEncoding(t *testing.T) {
	t.Parallel()
	key := login(url.Values{"email": {"ada@example.com"}}).Account("email")
	var form bytes.Buffer
	writer := multipart.NewWriter(&form)
	require.NoError(t, writer.WriteField("email", "ada@example.com"))
	require.NoError(t, writer.Close())
	inParts := httptest.NewRequest(http.MethodPost, "/login", &form)
	inParts.Header.Set("Content-Type", writer.FormDataContentType())

	require.Equal(t, key, newTestRequest(inParts).Account("email"))
	require.Equal(t, key, newTestRequest(httptest.NewRequest(http.MethodPost, "/login?email=ada@example.com", nil)).Account("email"))
}

func TestAccount_LeavesTheWholeBodyReadable(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10, formLimit - 1000, formLimit, 3 * formLimit} {
		r := login(url.Values{"email": {"ada@example.com"}, "zz": {strings.Repeat("x", size)}})
		again := login(url.Values{"email": {"ada@example.com"}, "zz": {strings.Repeat("x", size)}})

		r.Account("email")
		read, err := io.ReadAll(r.Body)

		require.NoError(t, err)
		whole, err := io.ReadAll(again.Body)
		require.NoError(t, err)
		require.True(t, bytes.Equal(whole, read), size)
		require.NoError(t, r.Body.Close())
	}
}

func TestAccount_TooLongFormsShareOneKey(t *testing.T) {
	t.Parallel()
	padded := url.Values{"aa": {strings.Repeat("x", formLimit)}, "email": {"ada@example.com"}}

	require.Equal(t, "unreadable", login(padded).Account("email"))
}

func TestAccount_AHandlerSeesTheErrorOfTheBody(t *testing.T) {
	t.Parallel()
	broken := errors.New("too slow")
	r := httptest.NewRequest(http.MethodPost, "/login", io.MultiReader(strings.NewReader("email=a"), iotest.ErrReader(broken)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	seen := newTestRequest(r)

	seen.Account("email")
	read, err := io.ReadAll(seen.Body)

	require.ErrorIs(t, err, broken)
	require.Equal(t, "email=a", string(read))
}

func TestNormalizeKey_IsShortAndNormal(t *testing.T) {
	t.Parallel()
	require.Equal(t, "mug", normalizeKey(" MUG "))
	require.Len(t, normalizeKey(strings.Repeat("x", 100_000)), 16)
	require.NotEqual(t, normalizeKey(strings.Repeat("x", 100)), normalizeKey(strings.Repeat("x", 101)))
}

// Private

func newTestRequest(r *http.Request) *Request {
	return newRequest(r, NewClients(nil, 64, slog.New(slog.DiscardHandler)))
}

func login(form url.Values) *Request {
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return newTestRequest(r)
}
