package sample

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestCategories_FillAShop(t *testing.T) {
	t.Parallel()

	categories := Categories()

	require.Len(t, categories, 6)
	require.GreaterOrEqual(t, len(products()), 50)
	for _, category := range categories {
		require.NotEmpty(t, category.Name)
		require.NotEmpty(t, category.Tagline)
		require.GreaterOrEqual(t, len(category.Products), 8, category.Slug)
	}
}

func TestCategories_SlugsAndSKUsAreUnique(t *testing.T) {
	t.Parallel()
	slug := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	sku := regexp.MustCompile(`^LW-[A-Z0-9]+(-[A-Z0-9]+)+$`)
	slugs, skus := map[string]bool{}, map[string]bool{}

	for _, category := range Categories() {
		require.Regexp(t, slug, category.Slug)
		require.False(t, slugs[category.Slug], category.Slug)
		slugs[category.Slug] = true
	}
	for _, product := range products() {
		require.Regexp(t, slug, product.Slug)
		require.False(t, slugs[product.Slug], product.Slug)
		slugs[product.Slug] = true
		for _, variant := range product.Variants {
			require.Regexp(t, sku, variant.SKU)
			require.False(t, skus[variant.SKU], variant.SKU)
			skus[variant.SKU] = true
		}
	}
}

func TestCategories_EveryProductIsDescribed(t *testing.T) {
	t.Parallel()

	for _, product := range products() {
		sentences := strings.Count(product.Description, ". ") + 1

		require.NotEmpty(t, product.Name)
		require.NotEmpty(t, product.Tagline)
		require.LessOrEqual(t, utf8.RuneCountInString(product.Tagline), 70, product.Slug)
		require.True(t, sentences >= 2 && sentences <= 4, product.Slug)
		require.True(t, len(product.Details) >= 3 && len(product.Details) <= 5, product.Slug)
	}
}

func TestCategories_VariantsCanBeChosenAndPriced(t *testing.T) {
	t.Parallel()

	for _, product := range products() {
		require.NotEmpty(t, product.Variants, product.Slug)
		for _, variant := range product.Variants {
			require.Equal(t, len(product.Variants) == 1, variant.Name == "", variant.SKU)
			require.True(t, variant.PriceCents >= 390 && variant.PriceCents <= 32000, variant.SKU)
			require.True(t, variant.Stock >= 0 && variant.Stock <= 60, variant.SKU)
		}
	}
}

func TestCategories_OneProductIsSoldOut(t *testing.T) {
	t.Parallel()
	var soldOut []string

	for _, product := range products() {
		stock := 0
		for _, variant := range product.Variants {
			stock += variant.Stock
		}
		if stock == 0 {
			soldOut = append(soldOut, product.Slug)
		}
	}

	require.Equal(t, []string{"three-draw-spyglass"}, soldOut)
}

func TestCategories_PicturesAreSmallSafeSVG(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`(?i)<script|<text|<style|<image|<foreignobject|href|\son\w+=|NaN|%!`)
	ids := regexp.MustCompile(` id="([^"]+)"`)

	for _, product := range products() {
		picture := product.Picture

		requireXML(t, product.Slug, picture)
		require.True(t, strings.HasPrefix(picture, "<svg "), product.Slug)
		require.Contains(t, picture, `viewBox="0 0 400 400"`, product.Slug)
		require.Less(t, len(picture), 6000, product.Slug)
		require.NotRegexp(t, forbidden, picture, product.Slug)
		for _, id := range ids.FindAllStringSubmatch(picture, -1) {
			require.True(t, strings.HasPrefix(id[1], product.Slug+"-"), id[1])
		}
	}
}

func TestCategories_PicturesDiffer(t *testing.T) {
	t.Parallel()
	drawnFor := map[string]string{}

	for _, product := range products() {
		picture := strings.ReplaceAll(product.Picture, product.Slug, "")

		require.Empty(t, drawnFor[picture], product.Slug)
		drawnFor[picture] = product.Slug
	}
}

func TestCategories_AreTheSameEveryTime(t *testing.T) {
	t.Parallel()

	require.Equal(t, Categories(), Categories())
}

func products() []Product {
	var all []Product
	for _, category := range Categories() {
		all = append(all, category.Products...)
	}
	return all
}

func requireXML(t *testing.T, slug, document string) {
	t.Helper()

	decoder := xml.NewDecoder(strings.NewReader(document))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, slug)
	}
}
