package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Settings are the environment variables of an application, besides those of
// the runtime. It is a pointer to a struct whose fields have the tags that
// Config explains. Schema.Load fills it.
type Settings interface {
	// Check reports values that have the right type and bounds and are still
	// wrong, such as a timeout that is longer than that of the runtime.
	Check(runtime Config, checks *Checker)
}

// Schema is every environment variable that a program reads.
type Schema struct {
	own       Settings // nil: the application has none
	variables []Variable
}

// NewSchema returns the variables of the runtime and those of own, which may be
// nil. It panics when the tags of a field are wrong.
func NewSchema(own Settings) *Schema {
	s := &Schema{own: own, variables: variablesOf(reflect.TypeFor[Config](), false)}
	if own != nil {
		s.variables = append(s.variables, variablesOf(reflect.TypeOf(own).Elem(), true)...)
	}
	return s
}

// Load reads the settings of a role from variables (see Environ) into Config and
// into the application's own Settings. Warnings are the values of lenient
// variables that were replaced by their defaults. The error is Problems: all
// that is wrong, not only the first.
func (s *Schema) Load(role Role, variables map[string]string) (config Config, warnings Problems, err error) {
	given := nonEmpty(variables)
	problems, warnings := s.parse(&config, false, given, role)
	if s.own != nil {
		ownProblems, ownWarnings := s.parse(s.own, true, given, role)
		problems, warnings = append(problems, ownProblems...), append(warnings, ownWarnings...)
	}
	config.fillDefaults()

	checks := &Checker{schema: s, role: role}
	for _, variable := range s.variables {
		variable.check(checks, s.value(variable, config))
	}
	config.check(checks)
	if s.own != nil {
		s.own.Check(config, checks)
	}
	if problems = append(problems, checks.problems...); len(problems) > 0 {
		return config, warnings.sorted(), problems.sorted()
	}
	return config, warnings.sorted(), nil
}

// Variables are all variables, those of the runtime first.
func (s *Schema) Variables() []Variable { return s.variables }

// Shown is the value of a variable with its secrets masked, after Load has
// returned config.
func (s *Schema) Shown(variable Variable, config Config) string {
	return variable.masked(fmt.Sprint(s.value(variable, config).Interface()))
}

// Help lists the variables that a role reads, for the help of its command.
func (s *Schema) Help(role Role) string {
	var text strings.Builder
	text.WriteString("Reads from the environment:\n")
	for _, variable := range s.variables {
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

func nonEmpty(variables map[string]string) map[string]string {
	given := map[string]string{}
	for name, value := range variables {
		if strings.TrimSpace(value) != "" {
			given[name] = value
		}
	}
	return given
}

// parse fills target, which is *Config or the application's Settings, and
// reports the values that are not of their type: those of lenient variables as
// warnings. Variables that role does not read keep their defaults.
func (s *Schema) parse(target any, own bool, given map[string]string, role Role) (problems, warnings Problems) {
	relevant := map[string]string{}
	fields := map[string]Variable{}
	for _, variable := range s.variables {
		if variable.own != own {
			continue
		}
		fields[variable.Field] = variable
		if value, ok := given[variable.Name]; ok && variable.ReadBy(role) {
			relevant[variable.Name] = value
		}
	}
	reflect.ValueOf(target).Elem().SetZero()
	err := env.ParseWithOptions(target, env.Options{Environment: relevant})

	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil, nil
	}
	for _, one := range all.Errors {
		var parseError env.ParseError
		if !errors.As(one, &parseError) {
			panic("config: " + one.Error()) // the tags of a field are wrong
		}
		variable := fields[parseError.Name]
		problem := variable.problem(variable.notOfType(relevant[variable.Name]))
		if !variable.lenient {
			problems = append(problems, problem)
			continue
		}
		problem.Text += fmt.Sprintf("; %s is used instead", variable.Default)
		warnings = append(warnings, problem)
	}
	if len(warnings) > 0 {
		readable := maps.Clone(given)
		for _, warning := range warnings {
			delete(readable, warning.Name)
		}
		problems, _ = s.parse(target, own, readable, role)
	}
	return problems, warnings
}

// value is what Load has read into the field of a variable.
func (s *Schema) value(variable Variable, config Config) reflect.Value {
	if variable.own {
		return reflect.ValueOf(s.own).Elem().FieldByName(variable.Field)
	}
	return reflect.ValueOf(config).FieldByName(variable.Field)
}

func (s *Schema) named(name string) Variable {
	for _, variable := range s.variables {
		if variable.Name == name {
			return variable
		}
	}
	panic("config: there is no variable " + name)
}
