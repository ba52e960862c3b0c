package postgres

import (
	"fmt"
	"strings"
)

// Conditions are the conditions of a WHERE clause that depends on what its caller
// asks for. Values are arguments of the statement and never part of its text.
type Conditions struct {
	clauses []string
	args    *[]any
}

// NewConditions returns no conditions on a statement that has arguments already.
func NewConditions(args ...any) *Conditions { return &Conditions{args: &args} }

// More returns no conditions on another part of the same statement.
func (c *Conditions) More() *Conditions { return &Conditions{args: c.args} }

// Add adds a condition that must hold too. Each %s in it stands for the next value.
func (c *Conditions) Add(condition string, values ...any) {
	places := make([]any, len(values))
	for n, value := range values {
		places[n] = c.Place(value)
	}
	c.clauses = append(c.clauses, fmt.Sprintf(condition, places...))
}

// Place adds an argument and returns how the statement refers to it, such as $3.
func (c *Conditions) Place(value any) string {
	*c.args = append(*c.args, value)
	return fmt.Sprintf("$%d", len(*c.args))
}

// Args are all arguments of the statement.
func (c *Conditions) Args() []any { return *c.args }

// Empty reports whether every row meets the conditions.
func (c *Conditions) Empty() bool { return len(c.clauses) == 0 }

// String returns the conditions as SQL, true when there are none.
func (c *Conditions) String() string {
	if c.Empty() {
		return "true"
	}
	return "(" + strings.Join(c.clauses, ") AND (") + ")"
}
