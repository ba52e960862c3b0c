package throttle

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/failopen"
)

// loginPage is a login as a store would write it.
func loginPage(limiter *Limiter, hashed *int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		account := r.FormValue("email")
		_, err := r.Cookie("known_device")
		login := limiter.Login(r, account, err == nil)
		if left, refused := login.Refused(); refused {
			w.Header().Set("Retry-After", strconv.Itoa(int(left.Seconds())))
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		*hashed++
		if r.FormValue("password") != "right" {
			login.Failed(r.Context())
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		login.Succeeded(r.Context())
	})
}

func TestLogin_BansAddressAndAccountBeforeThePasswordIsHashed(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{FailedLogins(Ban{After: 5, Within: 20 * time.Second, For: 300 * time.Second})})
		hashed := 0
		page := loginPage(w.Limiter, &hashed)

		// One address tries many accounts.
		for i := range 5 {
			require.Equal(t, http.StatusUnprocessableEntity, tryLogin(page, "192.0.2.1", fmt.Sprint("user", i), "wrong").Code)
		}
		refused := tryLogin(page, "192.0.2.1", "another", "right")
		require.Equal(t, http.StatusTooManyRequests, refused.Code)
		require.Equal(t, http.StatusTooManyRequests, tryLogin(page, "192.0.2.1", "another", "right", "known_device").Code)
		seconds, err := strconv.Atoi(refused.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.InDelta(t, 300, seconds, 5)
		require.Equal(t, 5, hashed)
		require.Equal(t, http.StatusOK, tryLogin(page, "192.0.2.2", "another", "right").Code)

		// Many addresses try one account, in all its spellings.
		for i := range 5 {
			require.Equal(t, http.StatusUnprocessableEntity,
				tryLogin(page, fmt.Sprint("198.51.100.", i), strings.Repeat(" ", i)+"Ada@Example.com", "wrong").Code)
		}
		require.Equal(t, http.StatusTooManyRequests, tryLogin(page, "203.0.113.1", "ada@example.com", "right").Code)
		require.Equal(t, http.StatusOK, tryLogin(page, "203.0.113.1", "ada@example.com", "right", "known_device").Code)
		require.Equal(t, http.StatusOK, tryLogin(page, "203.0.113.1", "bob@example.com", "right").Code)
	})
}

func TestLogin_SuccessResetsTheAccountAndNotTheAddress(t *testing.T) {
	t.Parallel()
	bothStores(t, func(t *testing.T, redis *failopen.Redis) {
		w := newWorld(t, redis, []Rule{FailedLogins(Ban{After: 5, Within: 20 * time.Second, For: 300 * time.Second})})
		hashed := 0
		page := loginPage(w.Limiter, &hashed)
		fail := func(ip string, times int) {
			for range times {
				require.Equal(t, http.StatusUnprocessableEntity, tryLogin(page, ip, "ada", "wrong").Code)
			}
		}

		fail("192.0.2.1", 4)
		require.Equal(t, http.StatusOK, tryLogin(page, "192.0.2.1", "ada", "right").Code)
		fail("192.0.2.2", 4)
		require.Equal(t, http.StatusOK, tryLogin(page, "192.0.2.2", "ada", "right").Code)
		fail("192.0.2.1", 1)

		require.Equal(t, http.StatusTooManyRequests, tryLogin(page, "192.0.2.1", "bob", "right").Code)
	})
}

func TestLogin_WithoutARuleNoClientIsBanned(t *testing.T) {
	t.Parallel()
	hashed := 0
	page := loginPage(newWorld(t, withoutRedis(t), []Rule{FailedLogins(Ban{})}).Limiter, &hashed)

	for range 20 {
		require.Equal(t, http.StatusUnprocessableEntity, tryLogin(page, "192.0.2.1", "ada", "wrong").Code)
	}
	require.Equal(t, http.StatusOK, tryLogin(page, "192.0.2.1", "ada", "right").Code)
}

// Private

func tryLogin(page http.Handler, ip, account, password string, cookies ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(url.Values{"email": {account}, "password": {password}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = ip + ":1234"
	for _, name := range cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: "signed"})
	}
	answer := httptest.NewRecorder()
	page.ServeHTTP(answer, r)
	return answer
}
