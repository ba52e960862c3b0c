package inspect

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"

	"slipway/internal/jobs"
)

// Private

// secretName matches names of args that say that nobody is to be shown them.
var secretName = regexp.MustCompile(`(?i)password|passwd|secret|token|api_?key|card|cvc|iban|authorization|cookie`)

// masked is JSON with the values hidden whose names are in names or speak for
// themselves. What is no JSON is hidden altogether.
func masked(args []byte, names []string) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(args))
	decoder.UseNumber() // a long id would lose its last digits
	var value any
	if decoder.Decode(&value) != nil {
		return json.RawMessage(`"***"`)
	}
	shown, _ := json.Marshal(maskValue(value, names)) // was JSON before
	return shown
}

// hidden are the names of args that nobody is shown. A carrier has the args of
// the task that it carries.
func (i *Inspector) hidden(kind string, args []byte) []string {
	var carrier struct {
		Task struct {
			Kind string `json:"kind"`
		} `json:"task"`
	}
	if kind == jobs.CarrierKind && json.Unmarshal(args, &carrier) == nil {
		kind = carrier.Task.Kind
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
