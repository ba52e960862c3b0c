// Package sample is the catalogue Leeward opens with: the words, prices and
// pictures of a small shop for the shore. Replace it with your own.
package sample

// Category is one room of the shop.
type Category struct {
	Slug, Name, Tagline string
	Products            []Product
}

// Product is one thing for sale. Picture is a complete SVG document, drawn in code.
type Product struct {
	Slug, Name, Tagline, Description string
	Details                          []string
	Picture                          string
	Variants                         []Variant
}

// Variant is one colour or size of a product. Name is empty where there is only one.
type Variant struct {
	SKU, Name  string
	PriceCents int64
	Stock      int
}

// Categories returns the sample catalogue in display order, the same on every call.
func Categories() []Category {
	return []Category{galley(), cabin(), locker(), chartRoom(), deck(), shore()}
}
