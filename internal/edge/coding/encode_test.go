package coding

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEncode_ReturnsTheBodyInItsCoding(t *testing.T) {
	t.Parallel()
	sizes := map[Effort]map[Coding]int{}
	for _, effort := range []Effort{Quick, Best} {
		sizes[effort] = map[Coding]int{}
		for _, c := range ForStored {
			encoded, smaller := Encode(c, effort, []byte(page))

			require.True(t, smaller)
			require.Equal(t, page, decode(t, c.String(), encoded))
			sizes[effort][c] = len(encoded)
		}
	}
	for _, c := range ForStored {
		require.Less(t, sizes[Best][c], sizes[Quick][c], c)
	}
	require.Less(t, sizes[Quick][Brotli], sizes[Quick][Zstd])
	require.Less(t, sizes[Quick][Zstd], sizes[Quick][Gzip])
}

func TestEncode_KeepsOnlyWhatIsSmaller(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "a", "no repeats"} {
		for _, c := range ForStored {
			encoded, smaller := Encode(c, Quick, []byte(body))

			require.False(t, smaller, "%s of %q", c, body)
			require.Nil(t, encoded)
		}
	}
	_, smaller := Encode(Identity, Quick, []byte(page))
	require.False(t, smaller)
}

func TestEncode_MayRunManyTimesAtOnce(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	for i := range 24 {
		running.Go(func() {
			body := page[i*100:]
			c := ForStored[i%3]
			encoded, smaller := Encode(c, Quick, []byte(body))
			if !smaller {
				t.Error("not smaller")
				return
			}
			if got, err := tryDecode(c.String(), bytes.NewReader(encoded)); err != nil || got != body {
				t.Errorf("%s: another body, %v", c, err)
			}
		})
	}
	running.Wait()
}
