package storefront_test

import (
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/mail"
)

func TestPages_HandleUnlinkedAddresses(t *testing.T) {
	t.Parallel()
	ada := newSite(t).shopper(t)

	for path, status := range map[string]int{
		"/products/%00":                            404,
		"/products/nope":                           404,
		"/products/%ff%fe":                         404,
		"/categories/nope":                         404,
		"/categories/galley?page=0":                404,
		"/categories/galley?page=x":                404,
		"/categories/galley?page=99":               404,
		"/categories/galley?page=9999999999999":    404,
		"/categories/galley?page=2&after=x":        404,
		"/categories/galley?page=1&after=":         200,
		"/categories/galley?page=1&after=e30":      404,
		"/categories/galley?sort=nonsense":         200,
		"/search":                                  200,
		"/search?q=":                               200,
		"/search?q=%00%ff":                         200,
		"/search?q=" + strings.Repeat("mug+", 800): 200,
		"/search?q=zzzz":                           200,
		"/search?q=%CC%81":                         200,
		"/orders/nope":                             404,
		"/orders/" + strings.Repeat("A", 26):       404,
		"/pictures/nope.svg":                       404,
		"/pictures/nope.png":                       404,
		"/pictures/..%2f..%2fetc%2fpasswd":         404,
		"/dev/mail":                                200,
		"/dev/mail/..%2f..%2fsecret":               404,
		"/dev/mail/none/file":                      404,
		"/dev/mail/..%2f..%2fsecret/file":          404,
		"/assets/nope.css":                         404,
		"/nope":                                    404,
		"/%00":                                     404,
	} {
		shown := ada.get(path)
		require.Equal(t, status, shown.status, path)
		if status == 404 && !strings.HasPrefix(path, "/assets/") {
			require.Contains(t, shown.body, "Nothing washed up here", path)
			require.Contains(t, shown.body, `href="/"`, path)
		}
	}
}

func TestPages_ListTheAllowedMethods(t *testing.T) {
	t.Parallel()
	site := newSite(t)

	for path, method := range map[string]string{"/": http.MethodPut, "/cart/lines": http.MethodGet, "/orders": http.MethodDelete,
		"/up": http.MethodPost} {
		request, err := http.NewRequest(method, site.url+path, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode, path)
		require.NotEmpty(t, response.Header.Get("Allow"), path)
	}
}

func TestPages_OfAShopperStayOutOfSharedCaches(t *testing.T) {
	t.Parallel()
	ada := newSite(t).shopper(t)
	ada.add("harbour-enamel-mug", 1)
	review := ada.review()

	require.Equal(t, "private, no-cache", ada.get("/").header.Get("Cache-Control"))
	require.Equal(t, "private, no-cache", ada.get("/cart").header.Get("Cache-Control"))
	for _, path := range []string{"/checkout", "/checkout/review"} {
		require.Equal(t, "private, no-store", ada.get(path).header.Get("Cache-Control"), path)
	}
	order := ada.post("/orders", review)
	require.Equal(t, "private, no-store", order.header.Get("Cache-Control"))
	require.Equal(t, "no-store", ada.get("/nope").header.Get("Cache-Control"))
}

func TestPages_OfErrorsDoNotClaimThatTheCartIsEmpty(t *testing.T) {
	t.Parallel()
	ada := newSite(t).shopper(t)
	ada.add("harbour-enamel-mug", 1)

	require.NotContains(t, ada.get("/nope").body, "is empty")
}

func TestPages_LinkOnlyToPagesThatExist(t *testing.T) {
	t.Parallel()
	ada := newSite(t).shopper(t)
	links := regexp.MustCompile(`(?:href|src)="(/[^"#]*)"`)

	seen := map[string]bool{}
	queue := []string{"/", "/cart", "/search?q=mug", "/search?q=zzzz"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		page := ada.get(path)
		require.Equal(t, http.StatusOK, page.status, path)
		for _, link := range links.FindAllStringSubmatch(page.body, -1) {
			queue = append(queue, strings.ReplaceAll(link[1], "&amp;", "&"))
		}
	}

	require.Greater(t, len(seen), 100)
}

func TestPages_RefuseFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		request, err := http.NewRequest(http.MethodPost, site.url+"/cart/lines", strings.NewReader("variant_id=1&quantity=1"))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set(name, value)

		response, err := http.DefaultClient.Do(request)

		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusForbidden, response.StatusCode)
		require.Contains(t, string(body), "That came from somewhere else")
	}
	require.Zero(t, site.count(t, `SELECT count(*) FROM carts`))
}

func TestPages_RefuseAFormOfTenMegabytes(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	huge := url.Values{"variant_id": {"1"}, "quantity": {strings.Repeat("1", 10<<20)}}

	request, err := http.NewRequest(http.MethodPost, site.url+"/cart/lines", io.MultiReader(strings.NewReader(huge.Encode())))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := ada.http.Do(request) // chunked: its length is not announced
	if err == nil {
		require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}

	response, err = ada.http.PostForm(site.url+"/cart/lines", huge)
	if err == nil { // the server may close before all of it is sent
		require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	require.Zero(t, site.count(t, `SELECT count(*) FROM carts`))
	require.Equal(t, http.StatusOK, ada.get("/").status)
}

func TestPages_AMailCanBeDownloadedInDevelopment(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	letter := mail.Message{ID: "letter-1@leeward.example", To: "ada@example.com", Subject: "Your mug", Text: "Hello Ada"}
	require.NoError(t, site.mails.Send(t.Context(), letter))
	stored, err := site.mails.List(1)
	require.NoError(t, err)
	page := "/dev/mail/" + stored[0].Name

	require.Contains(t, site.shopper(t).get(page).body, `href="`+page+`/file"`)
	file := site.shopper(t).get(page + "/file")

	require.Equal(t, "message/rfc822", file.header.Get("Content-Type"))
	require.Equal(t, "attachment; filename="+stored[0].Name+".eml", file.header.Get("Content-Disposition"))
	require.Contains(t, file.body, "Subject: Your mug")
}

func TestPages_HandleHeadLikeGet(t *testing.T) {
	t.Parallel()
	site := newSite(t)

	for _, path := range []string{"/", "/products/kelp-soap", "/cart", "/nope", "/assets/nope.css"} {
		get, err := http.Get(site.url + path)
		require.NoError(t, err)
		require.NoError(t, get.Body.Close())
		head, err := http.Head(site.url + path)
		require.NoError(t, err)
		body, err := io.ReadAll(head.Body)
		require.NoError(t, err)
		require.NoError(t, head.Body.Close())

		require.Equal(t, get.StatusCode, head.StatusCode, path)
		require.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"), path)
		require.Empty(t, body)
	}
}

func TestPages_GiveTheDigestsOfTheirScriptsAndStyles(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	code := regexp.MustCompile(`<(script|link rel="stylesheet")[^>]*>`)
	checked := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)" integrity="sha384-([^"]+)"`)

	for _, path := range []string{"/", "/products/kelp-soap", "/cart", "/nope"} {
		page := ada.get(path).body

		require.Len(t, code.FindAllString(page, -1), 4, path)
		found := checked.FindAllStringSubmatch(page, -1)
		require.Len(t, found, 4, path)
		for _, one := range found {
			sum := sha512.Sum384([]byte(ada.get(one[1]).body))
			require.Equal(t, base64.StdEncoding.EncodeToString(sum[:]), one[2], one[1])
		}
	}
}

func TestPictures_AreCachedForEverAndRunNoScripts(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	address := regexp.MustCompile(`/pictures/kelp-soap-[0-9a-f]+\.svg`).FindString(ada.get("/products/kelp-soap").body)

	picture := ada.get(address)

	require.Equal(t, "image/svg+xml", picture.header.Get("Content-Type"))
	require.Contains(t, picture.header.Get("Cache-Control"), "immutable")
	require.Contains(t, picture.header.Get("Content-Security-Policy"), "sandbox")
	require.Contains(t, picture.body, "<svg")
}
