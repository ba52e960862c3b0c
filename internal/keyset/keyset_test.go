package keyset

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type place struct {
	Name string `json:"name,omitempty"`
	ID   int64  `json:"id"`
}

func TestCursor_ReadsWhatItWasMadeOf(t *testing.T) {
	t.Parallel()

	for _, before := range []place{{}, {"Mug", 7}, {"Kännchen \"=&?/+ \x00", -1 << 63}} {
		var after place
		require.NoError(t, New(before).Read(&after))
		require.Equal(t, before, after)
	}
}

func TestCursor_IsEmptyForAPositionThatIsTooLongToRead(t *testing.T) {
	t.Parallel()

	longest := place{Name: strings.Repeat("x", 4096-len(`{"name":"","id":0}`))}
	require.NoError(t, New(longest).Read(&place{}))
	longest.Name += "x"
	require.Empty(t, New(longest))
}

func TestCursor_RefusesOtherText(t *testing.T) {
	t.Parallel()

	encoded := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, text := range []string{
		"", "7", "=", "%", "\x00", "\xff", "eyJpZCI6N30=", encoded(""), encoded("7"), encoded(`{"id":7`), encoded(`{"id":"7"}`),
		encoded(`{"id":7}x`),
		encoded(`{"id":7,"other":1}`), encoded(`{"id":99999999999999999999}`), encoded(`{"name":"` + strings.Repeat("x", 5000) + `"}`),
	} {
		err := Cursor(text).Read(&place{})

		require.ErrorIs(t, err, ErrCursor, text)
		require.Less(t, len(err.Error()), 1000)
	}
}
