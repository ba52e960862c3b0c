package coding

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNegotiate_FollowsTheClientThenTheServer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		accept []string
		stored Coding // of br, zstd, gzip
		live   Coding // of zstd, gzip
	}{
		{nil, Identity, Identity},
		{[]string{""}, Identity, Identity},
		{[]string{" , ,"}, Identity, Identity},
		{[]string{"gzip, deflate, br, zstd"}, Brotli, Zstd},
		{[]string{"gzip, deflate"}, Gzip, Gzip},
		{[]string{"gzip", "br;q=0.9", "zstd;q=0.95"}, Gzip, Gzip},
		{[]string{"deflate", "zstd"}, Zstd, Zstd},
		{[]string{"GZIP"}, Gzip, Gzip},
		{[]string{"x-gzip"}, Gzip, Gzip},
		{[]string{"x-gzip;q=0, gzip"}, Identity, Identity},
		{[]string{"gzip;q=0"}, Identity, Identity},
		{[]string{"gzip;q=0.000"}, Identity, Identity},
		{[]string{"gzip;q=0.001"}, Gzip, Gzip},
		{[]string{"gzip;q=0.001, zstd;q=0.002"}, Zstd, Zstd},
		{[]string{"gzip;q=1.000, zstd;q=0.999"}, Gzip, Gzip},
		{[]string{"gzip \t; \tQ=0.5 "}, Gzip, Gzip},
		{[]string{"*"}, Brotli, Zstd},
		{[]string{"*;q=0"}, Identity, Identity},
		{[]string{"*;q=0, gzip"}, Gzip, Gzip},
		{[]string{"gzip;q=0, *"}, Brotli, Zstd},
		{[]string{"br;q=0, *;q=0.1"}, Zstd, Zstd},
		{[]string{"gzip;q=0.2, *;q=0.5"}, Brotli, Zstd},
		{[]string{"gzip;q=0.2, zstd;q=0, br;q=0, *;q=0.5"}, Identity, Identity},
		{[]string{"identity"}, Identity, Identity},
		{[]string{"identity, gzip"}, Gzip, Gzip},
		{[]string{"identity, gzip;q=0.9"}, Identity, Identity},
		{[]string{"identity;q=0.5, gzip;q=0.9"}, Gzip, Gzip},
		{[]string{"identity;q=0"}, Identity, Identity},
		{[]string{"identity;q=0, gzip;q=0.1"}, Gzip, Gzip},
		{[]string{"gzip;q=x"}, Identity, Identity},
		{[]string{"gzip;q=1.1"}, Identity, Identity},
		{[]string{"gzip;q=2"}, Identity, Identity},
		{[]string{"gzip;q=0.1234"}, Identity, Identity},
		{[]string{"gzip;q=-1"}, Identity, Identity},
		{[]string{"gzip;q=.5"}, Identity, Identity},
		{[]string{"gzip;q= 1"}, Identity, Identity},
		{[]string{"gzip;"}, Identity, Identity},
		{[]string{"gzip;level=9"}, Identity, Identity},
		{[]string{"gzip;q=0.5;level=9"}, Identity, Identity},
		{[]string{"gzip;q=1."}, Gzip, Gzip},
		{[]string{"gzipped, xgzip, brr, b"}, Identity, Identity},
		{[]string{"gzip;q=0, gzip"}, Identity, Identity},
	} {
		require.Equal(t, row.stored, Negotiate(row.accept, ForStored), "%q", row.accept)
		require.Equal(t, row.live, Negotiate(row.accept, ForLive), "%q", row.accept)
	}
}

func TestNegotiate_AgreesWithASimpleImplementation(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(13, 1))

	for range 50_000 {
		accept := randomAccept(random)
		offers := slices.Clone(ForStored)
		random.Shuffle(len(offers), func(i, j int) { offers[i], offers[j] = offers[j], offers[i] })
		offers = offers[:random.IntN(len(offers)+1)]

		require.Equal(t, negotiateSimply(accept, offers), Negotiate(accept, offers), "%q of %v", accept, offers)
	}
}

func TestNegotiate_AllocatesNothing(t *testing.T) {
	accept := []string{"gzip, deflate, br;q=0.9, zstd", "*;q=0.1"}

	require.Zero(t, testing.AllocsPerRun(100, func() { Negotiate(accept, ForStored) }))
}

func FuzzNegotiate(f *testing.F) {
	f.Add("gzip, deflate, br, zstd", "")
	f.Add("gzip;q=0.5, *;q=0", "identity;q=0")
	f.Add("x-gzip ; Q=1.000,,br;q=", "zstd;q=0.1234")
	f.Fuzz(func(t *testing.T, first, second string) {
		accept := []string{first, second}
		for _, offers := range [][]Coding{ForStored, ForLive, {Gzip}, nil} {
			require.Equal(t, negotiateSimply(accept, offers), Negotiate(accept, offers))
		}
	})
}

func BenchmarkNegotiate(b *testing.B) {
	accept := []string{"gzip, deflate, br, zstd"}
	b.ReportAllocs()
	for b.Loop() {
		Negotiate(accept, ForStored)
	}
}

// Private

var simpleElement = regexp.MustCompile(`^(?i)([^;]*?)[ \t]*(?:;[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$`)

// negotiateSimply is Negotiate as the RFC reads, without a thought for speed.
func negotiateSimply(accept []string, offers []Coding) Coding {
	weights := map[string]float64{}
	for element := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		element = strings.Trim(element, " \t")
		name, _, _ := strings.Cut(element, ";")
		name = strings.ToLower(strings.Trim(name, " \t"))
		if name == "x-gzip" {
			name = "gzip"
		}
		if _, named := weights[name]; named {
			continue
		}
		weights[name] = 0
		if found := simpleElement.FindStringSubmatch(element); found != nil {
			weights[name] = 1
			if found[2] != "" {
				weights[name], _ = strconv.ParseFloat(found[2], 64)
			}
		}
	}
	weightOf := func(c Coding) float64 {
		if own, named := weights[c.String()]; named {
			return own
		}
		return weights["*"]
	}
	candidates := append(slices.Clone(offers), Identity)
	slices.SortStableFunc(candidates, func(a, b Coding) int {
		switch {
		case weightOf(a) > weightOf(b):
			return -1
		case weightOf(a) < weightOf(b):
			return 1
		}
		return 0
	})
	if weightOf(candidates[0]) == 0 {
		return Identity
	}
	return candidates[0]
}

// randomAccept makes the lines of an Accept-Encoding from pieces that are often
// right and sometimes wrong.
func randomAccept(random *rand.Rand) []string {
	names := []string{"gzip", "GZip", "x-gzip", "zstd", "br", "BR", "identity", "*", "deflate", "", "gzi p", "zst"}
	spaces := []string{"", "", "", " ", "\t", " \t "}
	weights := []string{
		"", "", "", ";q=1", ";q=0", ";q=0.5", ";Q=0.25", ";q=0.001", ";q=0.999", ";q=1.000", ";q=1.", ";q=0.",
		";q=1.001", ";q=0.1234", ";q=", ";", ";q", ";q=a", ";q=0.a", ";q=-1", ";q=10", ";q=0.5;x", ";p=1",
	}
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	lines := make([]string, random.IntN(4))
	for i := range lines {
		elements := make([]string, random.IntN(5))
		for j := range elements {
			weight := pick(weights)
			if weight != "" {
				weight = pick(spaces) + ";" + pick(spaces) + weight[1:]
			}
			elements[j] = pick(spaces) + pick(names) + weight + pick(spaces)
		}
		lines[i] = strings.Join(elements, ",")
	}
	return lines
}
