package inspect

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"

	"slipway/internal/jobs"
)

// Private

// secretName matches names of args whose values are always masked.
var secretName = regexp.MustCompile(`(?i)password|passwd|secret|token|api_?key|card|cvc|iban|authorization|cookie`)

// masked returns JSON in which the values of names, and of names that match
// secretName, are masked. It masks args that are not JSON as a whole.
func masked(args []byte, names []string) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(args))
	decoder.UseNumber() // a float would lose the last digits of a long id
	var value any
	if decoder.Decode(&value) != nil {
		return json.RawMessage(`"***"`)
	}
	shown, _ := json.Marshal(maskValue(value, names)) // no error: the value was decoded from JSON
	return shown
}

// hidden returns the names of the args that are masked. An outbox job has the args
// of its task.
func (i *Inspector) hidden(kind string, args []byte) []string {
	var outbox struct {
		Task struct {
			Kind string `json:"kind"`
		} `json:"task"`
	}
	if kind == jobs.OutboxKind && json.Unmarshal(args, &outbox) == nil {
		kind = outbox.Task.Kind
	}
	return i.mask[kind]
}

func maskValue(value any, names []string) any {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			if slices.Contains(names, name) || secretName.MatchString(name) {
				value[name] = "***"
			} else {
				value[name] = maskValue(inner, names)
			}
		}
	case []any:
		for n, inner := range value {
			value[n] = maskValue(inner, names)
		}
	}
	return value
}
