package shop

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// A change of the expected JSON needs a new version: an older release
// that still runs reads the same keys.
func TestCaches_ChangeTheirVersionWithTheirJSON(t *testing.T) {
	t.Parallel()

	for expected, cached := range map[string]struct {
		version int
		value   any
	}{
		`[{"ID":1,"Slug":"s","Name":"n","Tagline":"t"}]`: {categoriesCache.Version, []Category{{ID: 1, Slug: "s", Name: "n", Tagline: "t"}}},
		`[1,2]`: {listsCache.Version, []int64{1, 2}},
		`{"Category":{"ID":1,"Slug":"","Name":"","Tagline":""},"Total":2,"IDs":[3]}`: {categoryPagesCache.Version,
			categoryPage{Category: Category{ID: 1}, Total: 2, IDs: []int64{3}}},
	} {
		encoded, err := json.Marshal(cached.value)

		require.NoError(t, err)
		require.Equal(t, 1, cached.version)
		require.Equal(t, expected, string(encoded))
	}
}
