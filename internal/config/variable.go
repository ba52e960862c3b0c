package config

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Variable is one environment variable as Config declares it.
type Variable struct {
	Name    string
	Field   string // of Config
	Default string
	Example string
	Help    string
	Secret  string // "true": mask all of it; "url": mask the password in it
	roles   []string
	lenient bool
	zero    any
}

// Variables are all variables, in the order of Config.
func Variables() []Variable {
	var variables []Variable
	for field := range reflect.TypeFor[Config]().Fields() {
		variables = append(variables, Variable{
			Name:    field.Tag.Get("env"),
			Field:   field.Name,
			Default: field.Tag.Get("envDefault"),
			Example: field.Tag.Get("example"),
			Help:    field.Tag.Get("help"),
			Secret:  field.Tag.Get("secret"),
			roles:   strings.Split(field.Tag.Get("roles"), ","),
			lenient: field.Tag.Get("lenient") == "true",
			zero:    reflect.Zero(field.Type).Interface(),
		})
	}
	return variables
}

// ReadBy tells whether a role reads the variable.
func (v Variable) ReadBy(role Role) bool {
	return slices.Contains(v.roles, "all") || slices.Contains(v.roles, string(role))
}

// Shown is the variable's value in config with its secrets masked.
func (v Variable) Shown(config Config) string {
	value := fmt.Sprint(reflect.ValueOf(config).FieldByName(v.Field).Interface())
	switch {
	case value == "":
		return ""
	case v.Secret == "true":
		return hidden
	case v.Secret == "url":
		return maskURL(value)
	default:
		return value
	}
}

// Help lists the variables that a role reads, for the help of its command.
func Help(role Role) string {
	var text strings.Builder
	text.WriteString("Reads from the environment:\n")
	for _, variable := range Variables() {
		if !variable.ReadBy(role) {
			continue
		}
		fmt.Fprintf(&text, "  %-28s %s", variable.Name, variable.Help)
		if variable.Default != "" {
			fmt.Fprintf(&text, " (%s)", variable.Default)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// Private

// hidden stands for what must not be shown.
const hidden = "********"

func variableNamed(name string) Variable {
	for _, variable := range Variables() {
		if variable.Name == name {
			return variable
		}
	}
	panic("config: no variable " + name)
}

func (v Variable) problem(text string) Problem {
	return Problem{Name: v.Name, Text: text, Example: v.Example}
}

// maskURL hides the password and every query parameter of an address. What
// cannot be told apart with certainty (a PostgreSQL keyword string, a password
// with an unescaped @ or /) is hidden whole.
func maskURL(value string) string {
	address, err := url.Parse(value)
	if err != nil || !strings.Contains(value, "://") || address.Opaque != "" || address.Fragment != "" ||
		strings.Count(value, "@") > 1 || strings.Contains(value, "@") && address.User == nil {
		return hidden
	}
	if _, has := address.User.Password(); address.User != nil && !has {
		address.User = url.User("xxxxx") // a lone user may be a token
	}
	query := address.RawQuery
	address.RawQuery = ""
	masked := address.Redacted()
	if query != "" {
		masked += "?" + hidden
	}
	return masked
}
