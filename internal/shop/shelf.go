package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/keyset"
	"slipway/internal/postgres"
)

// Private

// The limits of what one page of a shelf reads, with any number of products.
const (
	// counted is how many products are counted. Of a longer list, the page says that
	// there are more.
	counted = 200 * PageSize
	// stride is the number of products between two milestones.
	stride = 100 * PageSize
)

// shelf is all products of a category, or of Everything, in one order.
type shelf struct {
	category int64 // 0: Everything
	sort     Sort
}

// position is a product in the order of a shelf.
type position struct {
	Sort   Sort   `json:"s"`           // its key means nothing in another order
	Number int64  `json:"n,omitempty"` // the key, unless it is a name; a time in microseconds
	Name   string `json:"t,omitempty"` // the key in the order of names
	ID     int64  `json:"id"`
}

// continuation is what a cursor of a shelf holds: where its page begins, and which page of
// which shelf that is.
type continuation struct {
	position
	Category int64 `json:"c,omitempty"`
	Page     int   `json:"p"`
}

// milestones are every stride-th product of a shelf that is longer than counted, so
// that any page is found by its number. They cost a pass over the index of the shelf
// and are cached: until then, products that are added move pages by their number.
type milestones []position

// order is the index that a shelf is read by.
type order struct {
	table, id  string
	key        string // a column, in whose order the index is
	number     string // SQL of position.Number
	name       string // SQL of position.Name
	descending bool
}

func (s shelf) order() order {
	switch s.sort {
	case SortPriceLow, SortPriceHigh:
		return order{table: "product_prices", id: "product_id", key: "low_cents", number: "low_cents", name: "''",
			descending: s.sort == SortPriceHigh}
	case SortName:
		return order{table: "products", id: "id", key: "name", number: "0::bigint", name: "name"}
	case SortNewest:
		return order{table: "products", id: "id", key: "created_at", number: "(extract(epoch FROM created_at) * 1000000)::bigint", name: "''",
			descending: true}
	}
	if s.category == Everything.ID {
		return order{table: "products", id: "id", key: "featured", number: "featured::bigint", name: "''"}
	}
	return order{table: "products", id: "id", key: "position", number: "position::bigint", name: "''"}
}

// where is the condition that a product is on the shelf. Its argument is $1.
func (s shelf) where() string {
	if s.category == Everything.ID {
		return "$1::bigint = 0"
	}
	return "category_id = $1"
}

// by is the order in SQL.
func (o order) by() string {
	if o.descending {
		return o.key + " DESC, " + o.id + " DESC"
	}
	return o.key + ", " + o.id
}

// after is the condition that a product comes after a position, which is $2 and $3.
func (o order) after() string {
	comparison, keyType := ">", "bigint"
	if o.descending {
		comparison = "<"
	}
	switch o.key {
	case "name":
		keyType = "text"
	case "created_at":
		keyType = "timestamptz"
	}
	return fmt.Sprintf("(%s, %s) %s ($2::%s, $3::bigint)", o.key, o.id, comparison, keyType)
}

// argument is the key of a position for SQL.
func (p position) argument() any {
	switch p.Sort {
	case SortName:
		return p.Name
	case SortNewest:
		return time.UnixMicro(p.Number)
	default:
		return p.Number
	}
}

// at reads the position at which a page with a cursor begins. It returns ErrNotFound when
// the cursor is of another shelf or page.
func (s shelf) at(place Place) (position, error) {
	var c continuation
	if place.After.Read(&c) != nil || c.Page != place.Page || c.Category != s.category {
		return position{}, ErrNotFound
	}
	p := c.position
	if p.Sort != s.sort || !validText(p.Name) {
		return position{}, ErrNotFound
	}
	if age := time.UnixMicro(p.Number); s.sort == SortNewest && (age.Year() < 1 || age.Year() > 9999) {
		return position{}, ErrNotFound // PostgreSQL knows no such time
	}
	return p, nil
}

// shelfPage is one page of a shelf.
type shelfPage struct {
	ids  []int64
	next *position // the last product of the page; nil: no page follows
}

// read reads the page that begins skip products after a position, or after the
// beginning of the shelf.
func (s shelf) read(ctx context.Context, tx pgx.Tx, after *position, skip int) (shelfPage, error) {
	o := s.order()
	where, arguments := s.where(), []any{s.category}
	if after != nil {
		where += " AND " + o.after()
		arguments = append(arguments, after.argument(), after.ID)
	}
	rows, err := tx.Query(ctx, fmt.Sprintf(`
		SELECT %s AS key_id, %s AS key_number, %s AS key_name
		FROM %s
		WHERE %s
		ORDER BY %s
		LIMIT %d OFFSET %d`, o.id, o.number, o.name, o.table, where, o.by(), PageSize+1, skip), arguments...)
	if err != nil {
		return shelfPage{}, err
	}
	found, err := pgx.CollectRows(rows, s.scan)
	if err != nil {
		return shelfPage{}, err
	}
	page := shelfPage{ids: []int64{}}
	for i, product := range found {
		if i == PageSize {
			page.next = &found[i-1]
			break
		}
		page.ids = append(page.ids, product.ID)
	}
	return page, nil
}

// count counts the products of the shelf, but not many more than counted.
func (s shelf) count(ctx context.Context, tx pgx.Tx) (total int, more bool, err error) {
	err = tx.QueryRow(ctx, fmt.Sprintf(`SELECT count(*) FROM (SELECT FROM %s WHERE %s LIMIT %d) AS counted`,
		s.order().table, s.where(), counted+1), s.category).Scan(&total)
	return min(total, counted), total > counted, err
}

// milestones reads the milestones of the shelf.
func (s shelf) milestones(ctx context.Context, tx pgx.Tx) (milestones, error) {
	o := s.order()
	rows, err := tx.Query(ctx, fmt.Sprintf(`
		SELECT key_id, key_number, key_name
		FROM (
			SELECT %s AS key_id, %s AS key_number, %s AS key_name, row_number() OVER (ORDER BY %s) AS n
			FROM %s
			WHERE %s
		) AS numbered
		WHERE n %% %d = 0
		ORDER BY n`, o.id, o.number, o.name, o.by(), o.table, s.where(), stride), s.category)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, s.scan)
}

func (s shelf) scan(row pgx.CollectableRow) (position, error) {
	p := position{Sort: s.sort}
	err := row.Scan(&p.ID, &p.Number, &p.Name)
	return p, err
}

// pageOfShelf reads the page at a place of a shelf, or returns ErrNotFound.
func (s *Shop) pageOfShelf(ctx context.Context, shelf shelf, place Place) (categoryPage, error) {
	var begin *position
	skip := (place.Page - 1) * PageSize
	switch {
	case place.After != "":
		at, err := shelf.at(place)
		if err != nil {
			return categoryPage{}, err
		}
		begin, skip = &at, 0
	case skip > counted:
		var err error
		if begin, skip, err = s.milestoneBefore(ctx, shelf, skip); err != nil {
			return categoryPage{}, err
		}
	}
	var page categoryPage
	err := postgres.ByIndex(ctx, s.db, func(tx pgx.Tx) (err error) {
		if page.Total, page.More, err = shelf.count(ctx, tx); err != nil {
			return fmt.Errorf("count products: %w", err)
		}
		found, err := shelf.read(ctx, tx, begin, skip)
		if err != nil {
			return fmt.Errorf("list products: %w", err)
		}
		page.IDs, page.Last = found.ids, found.next == nil
		if found.next != nil {
			page.Next = keyset.New(continuation{*found.next, shelf.category, place.Page + 1})
		}
		return nil
	})
	if err == nil && len(page.IDs) == 0 && (place.Page > 1 || place.After != "") {
		err = ErrNotFound
	}
	return page, err
}

// milestoneBefore returns the last milestone that is at most skip products after the
// beginning of a shelf, and how many are left to skip from there.
func (s *Shop) milestoneBefore(ctx context.Context, shelf shelf, skip int) (*position, int, error) {
	key := fmt.Sprintf("%d:%s", shelf.category, shelf.sort)
	stones, err := milestonesCache.Fetch(ctx, s.cache, key, func(ctx context.Context) (stones milestones, err error) {
		err = postgres.ByIndex(ctx, s.db, func(tx pgx.Tx) error {
			stones, err = shelf.milestones(ctx, tx)
			return err
		})
		return stones, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("find the milestones of a list: %w", err)
	}
	n := min(skip/stride, len(stones)) // products that were added meanwhile are after the last one
	if n == 0 {
		return nil, skip, nil
	}
	return &stones[n-1], skip - n*stride, nil
}
