package config

import (
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Variable is one environment variable, from the tags of its field (see Config).
type Variable struct {
	Name    string
	Field   string // name of its field in Config or in the application's Settings
	Default string // empty when there is none
	Example string
	Help    string
	Roles   []string // roles and commands that read it, or "all"
	Secret  string   // "true": the whole value is masked; "url": the password in it

	own      bool     // a field of the application's Settings
	required []string // roles that cannot start without it, or "true" for all that read it
	oneOf    []string // empty: any value
	schemes  []string // of a URL; empty: any value
	bounds   *bounds  // nil: any value
	lenient  bool
	zero     any
}

// ReadBy reports whether a role reads the variable.
func (v Variable) ReadBy(role Role) bool {
	return slices.Contains(v.Roles, "all") || slices.Contains(v.Roles, string(role))
}

// Private

// hidden is shown in place of a secret.
const hidden = "********"

func variablesOf(settings reflect.Type, own bool) []Variable {
	var variables []Variable
	for field := range settings.Fields() {
		if !field.IsExported() {
			continue
		}
		variables = append(variables, Variable{
			Name:     field.Tag.Get("env"),
			Field:    field.Name,
			Default:  field.Tag.Get("envDefault"),
			Example:  field.Tag.Get("example"),
			Help:     field.Tag.Get("help"),
			Secret:   field.Tag.Get("secret"),
			own:      own,
			Roles:    listTag(field, "roles"),
			required: listTag(field, "required"),
			oneOf:    listTag(field, "oneof"),
			schemes:  listTag(field, "schemes"),
			bounds:   boundsOf(field),
			lenient:  field.Tag.Get("lenient") == "true",
			zero:     reflect.Zero(field.Type).Interface(),
		})
	}
	return variables
}

func listTag(field reflect.StructField, name string) []string {
	if list := field.Tag.Get(name); list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

// check reports a value that the tags of the field forbid.
func (v Variable) check(checks *Checker, value reflect.Value) {
	text := fmt.Sprint(value.Interface())
	if slices.Contains(v.required, "true") || slices.Contains(v.required, string(checks.role)) {
		checks.That(v.Name, text != "", "is missing")
	}
	if v.oneOf != nil {
		problem := fmt.Sprintf("is %q; it must be one of: %s", text, strings.Join(v.oneOf, ", "))
		checks.That(v.Name, slices.Contains(v.oneOf, text), problem)
	}
	if v.schemes != nil {
		checks.url(v.Name, text, v.schemes...)
	}
	if v.bounds != nil {
		problem := v.bounds.problem(value.Int())
		checks.That(v.Name, problem == "", problem)
	}
}

func (v Variable) problem(text string) Problem {
	return Problem{Name: v.Name, Text: text, Example: v.Example}
}

// notOfType returns the problem of a value that cannot be parsed. It quotes the
// value unless that is a secret.
func (v Variable) notOfType(value string) string {
	shown := strconv.Quote(value)
	if v.Secret != "" {
		shown = "its value"
	}
	switch v.zero.(type) {
	case time.Duration:
		return fmt.Sprintf("%s is not a duration such as 250ms, 5s or 2m", shown)
	case bool:
		return fmt.Sprintf("%s is neither true nor false", shown)
	case Networks:
		return fmt.Sprintf("%s is not a list of addresses and networks, separated by commas", shown)
	case Countries:
		return fmt.Sprintf("%s is not a list of two-letter country codes, separated by commas", shown)
	case Key:
		return fmt.Sprintf("%s is not a key in base64url", shown)
	case Period:
		return fmt.Sprintf("%s is neither a number of seconds nor a duration such as 5m", shown)
	case WorkedQueues:
		return fmt.Sprintf("%s is not a list of different queues, separated by commas, each with a number of jobs from 1 to 10000 or none", shown)
	case uint32:
		return fmt.Sprintf("%s is not a whole number from 0", shown)
	case int, int64:
		return fmt.Sprintf("%s is not a whole number", shown)
	case slog.Level:
		return fmt.Sprintf("%s is not one of: debug, info, warn, error", shown)
	default:
		return fmt.Sprintf("%s cannot be read", shown)
	}
}

func (v Variable) masked(value string) string {
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

// maskURL replaces the password and all query parameters of a URL. It replaces the
// whole value when that may not be a URL, such as a PostgreSQL keyword string, or a
// URL with an unescaped @ or / in the password.
func maskURL(value string) string {
	address, err := url.Parse(value)
	if err != nil || !strings.Contains(value, "://") || address.Opaque != "" || address.Fragment != "" ||
		strings.Count(value, "@") > 1 || strings.Contains(value, "@") && address.User == nil {
		return hidden
	}
	if _, has := address.User.Password(); address.User != nil && !has {
		address.User = url.User("xxxxx") // a user name without a password may be a token
	}
	query := address.RawQuery
	address.RawQuery = ""
	masked := address.Redacted()
	if query != "" {
		masked += "?" + hidden
	}
	return masked
}
