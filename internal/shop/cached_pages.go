package shop

import "strconv"

// SalePages is the tag of cached pages that show which sales there are. See the
// triggers in migrations/00007_expire_cached_pages.sql.
const SalePages = "sales"

// PagesOf returns the tags of a cached page that shows products. Every page of the
// catalogue has the first one.
func PagesOf(products ...int64) []string {
	tags := make([]string, 0, len(products)+1)
	tags = append(tags, "catalogue")
	for _, id := range products {
		tags = append(tags, "product:"+strconv.FormatInt(id, 10))
	}
	return tags
}
