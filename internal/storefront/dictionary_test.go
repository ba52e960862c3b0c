package storefront_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/edge/coding"
)

func TestDictionary_IsTheSameInAllProcesses(t *testing.T) {
	t.Parallel()
	_, first := newSite(t).pages.Assets().PageDictionary()
	_, second := newSite(t).pages.Assets().PageDictionary()

	require.Equal(t, first, second)
}

func TestDictionary_HoldsWhatPagesHaveInCommon(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	ada := site.shopper(t)
	dictionary, path := site.pages.Assets().PageDictionary()
	text := ada.get(path).body
	require.Less(t, len(text), 32<<10)
	require.NotContains(t, text, "harbour-enamel-mug", "no words of the catalogue")

	for _, path := range []string{"/products/kelp-soap", "/categories/galley", "/cart", "/nope"} {
		page := ada.get(path).body
		coded, _ := dictionary.Encode(coding.Quick, []byte(page))
		require.Less(t, 3*len(coded), sizeOf(t, site.url+path, "gzip"), path)
	}
}

// Private

// sizeOf is the length of a page in a coding.
func sizeOf(t *testing.T, address, accepted string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	request.Header.Set("Accept-Encoding", accepted)
	response, err := (&http.Client{}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, accepted, response.Header.Get("Content-Encoding"), address)
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return len(content)
}
