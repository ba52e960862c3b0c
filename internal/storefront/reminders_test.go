package storefront_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const reminderToken = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func TestReminders_AreNotAskedForBeforeTheShopperTicksTheBox(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)

	require.Contains(t, ada.get("/checkout").body, `name="remind_me" value="yes">`)
	ada.post("/checkout", contact())
	require.Zero(t, site.count(t, `SELECT count(*) FROM carts WHERE reminder_consent_at IS NOT NULL`))

	ada.post("/checkout", with(contact(), url.Values{"remind_me": {"yes"}}))
	require.Equal(t, 1, site.count(t, `SELECT count(*) FROM carts WHERE reminder_consent_at IS NOT NULL`))
	require.Contains(t, ada.get("/checkout").body, `name="remind_me" value="yes" checked>`)
}

func TestReminders_EndByOneClickOfAMailProgram(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.remember(t)

	for _, header := range []http.Header{
		{}, // the servers of a mail provider send no headers of a browser
		{"Origin": {"https://mail.example"}, "Sec-Fetch-Site": {"cross-site"}},
		{"Origin": {"null"}},
	} {
		_, err := site.db.Exec(t.Context(), `UPDATE reminder_recipients SET unsubscribed_at = NULL`)
		require.NoError(t, err)

		answer := site.postFrom(t, header, "/reminders/"+reminderToken, "List-Unsubscribe=One-Click")

		require.Equal(t, http.StatusOK, answer.status, "no redirect, which mail providers do not follow")
		require.Empty(t, answer.header.Values("Set-Cookie"))
		require.Equal(t, 1, site.count(t, `SELECT count(*) FROM reminder_recipients WHERE unsubscribed_at IS NOT NULL`))
	}
	other := site.postFrom(t, http.Header{"Sec-Fetch-Site": {"cross-site"}}, "/checkout", "email=ada@example.com")
	require.Equal(t, http.StatusForbidden, other.status, "other routes stay closed to other sites")
}

func TestReminders_DoNotEndWhenTheirLinkIsOpened(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.remember(t)
	ada := site.shopper(t)

	page := ada.get("/reminders/" + reminderToken)

	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, `<form action="/reminders/`+reminderToken+`" method="post">`)
	require.NotContains(t, page.body, "ada@example.com")
	require.Equal(t, "noindex", page.header.Get("X-Robots-Tag"))
	require.Zero(t, site.count(t, `SELECT count(*) FROM reminder_recipients WHERE unsubscribed_at IS NOT NULL`))
	ended := ada.post("/reminders/"+reminderToken, nil)
	require.Contains(t, ended.body, "No more reminders</h1>")
	require.Contains(t, ada.get("/reminders/"+reminderToken).body, "No more reminders</h1>")
	for _, token := range []string{strings.Repeat("A", 26), "x", "%00", "%ff"} {
		require.Equal(t, http.StatusNotFound, ada.get("/reminders/"+token).status, token)
		require.Equal(t, http.StatusNotFound, ada.post("/reminders/"+token, nil).status, token)
	}
}

// Private

// remember stores an address that got a reminder.
func (s site) remember(t *testing.T) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), `INSERT INTO reminder_recipients (email, token) VALUES ('ada@example.com', $1)`, reminderToken)
	require.NoError(t, err)
}

// postFrom posts a form without following redirects.
func (s site) postFrom(t *testing.T, header http.Header, path, form string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, strings.NewReader(form))
	require.NoError(t, err)
	request.Header = header.Clone()
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(t, err)
	return (&shopper{t: t, site: s}).read(response)
}
