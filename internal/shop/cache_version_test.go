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
		version, current int
		value            any
	}{
		`[{"ID":1,"Slug":"s","Name":"n","Tagline":"t"}]`: {1, categoriesCache.Version, []Category{{ID: 1, Slug: "s", Name: "n", Tagline: "t"}}},
		`[1,2]`: {1, listsCache.Version, []int64{1, 2}},
		`{"Category":{"ID":1,"Slug":"","Name":"","Tagline":""},"Total":2,"More":true,"IDs":[3],"Next":"x","Last":true}`: {
			2, categoryPagesCache.Version,
			categoryPage{Category: Category{ID: 1}, Total: 2, More: true, IDs: []int64{3}, Next: "x", Last: true},
		},
		`[{"s":"name","n":1,"t":"x","id":2}]`: {1, milestonesCache.Version, milestones{{Sort: SortName, Number: 1, Name: "x", ID: 2}}},
	} {
		encoded, err := json.Marshal(cached.value)

		require.NoError(t, err)
		require.Equal(t, cached.version, cached.current)
		require.Equal(t, expected, string(encoded))
	}
}
