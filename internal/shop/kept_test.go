package shop

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// A change of what is expected here needs a new version of the kind: the
// release before this one still reads what this one wrote.
func TestKept_ValuesReadAsTheirVersionSays(t *testing.T) {
	t.Parallel()

	for expected, kept := range map[string]struct {
		version int
		value   any
	}{
		`[{"ID":1,"Slug":"s","Name":"n","Tagline":"t"}]`: {keptCategories.Version, []Category{{ID: 1, Slug: "s", Name: "n", Tagline: "t"}}},
		`[1,2]`: {keptLists.Version, []int64{1, 2}},
		`{"Category":{"ID":1,"Slug":"","Name":"","Tagline":""},"Total":2,"IDs":[3]}`: {keptShelves.Version, shelf{Category: Category{ID: 1}, Total: 2, IDs: []int64{3}}},
	} {
		encoded, err := json.Marshal(kept.value)

		require.NoError(t, err)
		require.Equal(t, 1, kept.version)
		require.Equal(t, expected, string(encoded))
	}
}
