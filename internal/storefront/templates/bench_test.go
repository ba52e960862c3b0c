package templates

import (
	"bytes"
	"testing"
)

func BenchmarkProduct(b *testing.B) { benchmark(b, "product") }

func BenchmarkCategory(b *testing.B) { benchmark(b, "category") }

// Private

func benchmark(b *testing.B, name string) {
	page, found := newPages("plain")[name]
	if !found {
		b.Fatalf("there is no page %s", name)
	}
	var body bytes.Buffer
	b.ReportAllocs()
	for b.Loop() {
		body.Reset()
		if err := page.Render(b.Context(), &body); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(body.Len()))
}
