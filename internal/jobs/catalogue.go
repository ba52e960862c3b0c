package jobs

import "fmt"

// Private

// catalogue is the kinds of an application that one backend takes.
type catalogue struct {
	noun  string // job or task
	kinds map[string]Handler
}

func newCatalogue(noun string, handlers Handlers) *catalogue {
	c := &catalogue{noun: noun, kinds: map[string]Handler{}}
	for _, handler := range handlers {
		c.kinds[handler.Kind] = handler
	}
	return c
}

// has reports whether the backend takes a kind. A nil catalogue has none.
func (c *catalogue) has(kind string) bool {
	if c == nil {
		return false
	}
	_, known := c.kinds[kind]
	return known
}

// check refuses a kind that no worker of the backend runs. A nil catalogue takes
// every kind.
func (c *catalogue) check(kind string) error {
	if c == nil {
		return nil
	}
	if _, known := c.kinds[kind]; !known {
		return fmt.Errorf("%s has no handler among the %ss of this application: add one, or it would wait for ever", kind, c.noun)
	}
	return nil
}
