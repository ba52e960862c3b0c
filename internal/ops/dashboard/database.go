package dashboard

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/ops"
)

// Private

const (
	// manyDead is the part of dead rows of a table from which it is marked, when there are
	// more than fewDead. Autovacuum begins at a fifth.
	manyDead = 0.3
	fewDead  = 1_000
	// fullConnections is the part of the connections from which their use is marked.
	fullConnections = 0.8
)

func (d *Dashboard) showDatabase(c echo.Context) error {
	ctx, cancel := d.bounded(c)
	defer cancel()
	database, err := d.reader.Database(ctx)
	if err != nil {
		return err
	}
	return d.Show(c, database, databasePage(d.Frame(c, "Database", "Database"), database))
}

func hasManyDead(table ops.Table) bool {
	return table.Dead > fewDead && float64(table.Dead) > manyDead*float64(table.Rows+table.Dead)
}

func isFull(database ops.Database) bool {
	return float64(database.Connections) >= fullConnections*float64(database.MaxConnections)
}

// size is a number of bytes in the unit that suits it.
func size(bytes int64) string {
	value, unit := float64(bytes), "B"
	for _, larger := range []string{"KB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, larger
	}
	if unit == "B" || value >= 100 {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

func seconds(value float64) time.Duration { return time.Duration(value * float64(time.Second)) }

// firstWord is a version without the name of the distribution.
func firstWord(version string) string {
	word, _, _ := strings.Cut(version, " ")
	return word
}

func processIDs(ids []int) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.Itoa(id)
	}
	return strings.Join(texts, ", ")
}
