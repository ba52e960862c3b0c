package storefront_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestLive_FragmentsAreWhatThePageShows(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	variant := ada.add("kelp-soap", 2)
	site.setStock(t, variant, 4)
	product := site.count(t, `SELECT product_id FROM variants WHERE id = $1`, variant)
	page := ada.get("/products/kelp-soap")

	fragments := ada.get(fmt.Sprintf("/live/fragments?products=%d,%d,nonsense,-1,99999999&looking=%d", product, product, product))

	require.Equal(t, http.StatusOK, fragments.status)
	require.Contains(t, fragments.header.Get("Content-Type"), "text/html")
	for _, id := range []string{"cart-badge", fmt.Sprint("variant-stock-", variant), fmt.Sprint("interest-", product)} {
		piece := regexp.MustCompile(`<(span|p) id="` + id + `"[^>]*>`)
		shown, sent := piece.FindString(page.body), piece.FindAllString(fragments.body, -1)
		require.NotEmpty(t, shown, id)
		require.Equal(t, []string{shown}, sent, id)
	}
	require.Contains(t, fragments.body, "Only 4 left")
	require.Contains(t, fragments.body, fmt.Sprint("card-stock-", product))
}

func TestLive_FragmentsShowTheUnitsLeftOfASale(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	site.startSale(t, 50)
	product := site.count(t, `SELECT v.product_id FROM flash_sales s JOIN variants v ON v.id = s.variant_id`)
	page := site.shopper(t).get("/")

	fragments := site.shopper(t).get(fmt.Sprintf("/live/fragments?products=%d", product))

	piece := regexp.MustCompile(`<[a-z]+ id="sale-left-[^>]*>`)
	require.NotEmpty(t, piece.FindString(page.body))
	require.Equal(t, piece.FindString(page.body), piece.FindString(fragments.body))
}

func TestLive_FragmentsOfAnOrderNeedItsToken(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	ada.add("kelp-soap", 1)
	order := ada.post("/orders", ada.review())
	address := regexp.MustCompile(`data-live="([^"]*)"`).FindStringSubmatch(order.body)
	token := regexp.MustCompile(`order=([^&"]+)`).FindStringSubmatch(address[1])

	known, unknown := ada.get("/live/fragments?products=&order="+token[1]), ada.get("/live/fragments?order=nonsense")

	require.Equal(t, http.StatusOK, known.status)
	require.Contains(t, known.body, `id="order-state-`)
	require.Contains(t, known.header.Get("Cache-Control"), "no-store", "an order's token is nothing to keep")
	require.Equal(t, http.StatusNotFound, unknown.status)
}

func TestLive_UnchangedFragmentsAreNotSentAgain(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	variant := site.variant(t, "kelp-soap")
	product := site.count(t, `SELECT product_id FROM variants WHERE id = $1`, variant)
	address := fmt.Sprintf("%s/live/fragments?products=%d", site.url, product)
	ask := func(tag string) (status int, body, newTag string) {
		request, err := http.NewRequest(http.MethodGet, address, nil)
		require.NoError(t, err)
		request.Header.Set("If-None-Match", tag)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, "private, no-cache", response.Header.Get("Cache-Control"))
		return response.StatusCode, string(content), response.Header.Get("ETag")
	}

	status, body, tag := ask("")
	require.Equal(t, http.StatusOK, status)
	require.NotEmpty(t, body)
	require.NotEmpty(t, tag)

	status, body, _ = ask(tag)
	require.Equal(t, http.StatusNotModified, status)
	require.Empty(t, body)

	site.setStock(t, variant, 1)
	status, body, _ = ask(tag)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "Only 1 left")
}

func TestLive_HeadOpensNoStream(t *testing.T) {
	t.Parallel()
	site := newSite(t)

	var heads errgroup.Group
	for range 40 { // more than there is room for
		heads.Go(func() error {
			response, err := http.Head(site.url + "/live?products=1")
			if err != nil {
				return err
			}
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
				return errors.New(response.Status)
			}
			return response.Body.Close()
		})
	}
	require.NoError(t, heads.Wait())

	// Streams of this site live for a second, and there is room for ten.
	response, err := http.Get(site.url + "/live?products=1")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
}
