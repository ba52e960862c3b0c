package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Settings are the environment variables of an application, besides those of the
// runtime. The type is a pointer to a struct whose fields have the tags that Config
// describes. Schema.Load sets the fields.
type Settings interface {
	// Check reports wrong values that the tags cannot describe, such as a timeout
	// that is longer than one of the runtime.
	Check(runtime Config, checks *Checker)
}

// Schema is the list of all environment variables that a program reads.
type Schema struct {
	// Queues are the application's own queues of jobs beside the standard ones, with
	// the jobs of each that one worker-pg runs at the same time.
	Queues map[string]int

	own       Settings // nil: the application has none
	variables []Variable
}

// NewSchema returns the schema of the runtime's variables and those of own, which
// may be nil. It panics when the tags of a field are wrong.
func NewSchema(own Settings) *Schema {
	s := &Schema{own: own, variables: variablesOf(reflect.TypeFor[Config](), false)}
	if own != nil {
		s.variables = append(s.variables, variablesOf(reflect.TypeOf(own).Elem(), true)...)
	}
	return s
}

// Load parses and checks the variables (see Environ) that a role reads, returns
// those of the runtime, and sets those of the application in its Settings. Variables
// that the role does not read get their defaults. The warnings are about lenient
// variables, which got their defaults, about misspelt names, and about values that are
// right on one machine only. The error is Problems with every problem.
func (s *Schema) Load(role Role, variables map[string]string) (config Config, warnings Problems, err error) {
	given := nonEmpty(variables)
	checks := &Checker{schema: s, role: role, warnings: s.misspelt(given)}
	for _, variable := range s.variables {
		problem := invisibleProblem(given[variable.Name])
		checks.That(variable.Name, problem == "", problem)
	}
	problems, lenient := s.parse(&config, false, given, role)
	checks.problems, checks.warnings = append(checks.problems, problems...), append(checks.warnings, lenient...)
	if s.own != nil {
		problems, lenient := s.parse(s.own, true, given, role)
		checks.problems, checks.warnings = append(checks.problems, problems...), append(checks.warnings, lenient...)
	}
	config.fillDefaults()
	config.ownQueues = s.Queues
	if given["DATABASE_POOL_SIZE"] == "" {
		config.DatabasePoolSize = config.wantedPool(role)
	}
	if given["OPS_TRACE_ONE_IN"] == "" {
		config.TraceOneIn = oneTraceIn(config.Environment)
	}
	if given["MAX_CONNECTIONS"] == "" {
		config.MaxConnections = config.LiveStreamLimit + connectionsForPages
	}

	for _, variable := range s.variables {
		variable.check(checks, s.value(variable, config))
	}
	config.check(checks)
	if s.own != nil {
		s.own.Check(config, checks)
	}
	if len(checks.problems) > 0 {
		return config, checks.warnings.sorted(), checks.problems.sorted()
	}
	return config, checks.warnings.sorted(), nil
}

// Variables returns all variables, those of the runtime first.
func (s *Schema) Variables() []Variable { return s.variables }

// Setting is a variable as a role has read it.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`  // with secrets masked; empty: unset
	Source string `json:"source"` // set, default or unset
	Help   string `json:"help"`
}

// Settings are the variables that a role reads, with secrets masked. Config is what Load
// has made of variables.
func (s *Schema) Settings(role Role, config Config, variables map[string]string) []Setting {
	var settings []Setting
	for _, variable := range s.variables {
		if !variable.ReadBy(role) {
			continue
		}
		one := Setting{Name: variable.Name, Help: variable.Help, Source: "default"}
		one.Value = s.shown(variable, config)
		switch {
		case variables[variable.Name] != "":
			one.Source = "set"
		case one.Value == "":
			one.Source = "unset"
		}
		settings = append(settings, one)
	}
	return settings
}

// Help returns a list of the variables that a role reads, for a command's --help.
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

// shown returns the value that Load has read for a variable, with secrets masked.
func (s *Schema) shown(variable Variable, config Config) string {
	return variable.masked(fmt.Sprint(s.value(variable, config).Interface()))
}

// nonEmpty returns the variables that are set, trimmed.
func nonEmpty(variables map[string]string) map[string]string {
	given := trimmed(variables)
	maps.DeleteFunc(given, func(_, value string) bool { return value == "" })
	return given
}

// parse sets the fields of target, which is *Config or the application's Settings.
// It returns a problem, or for a lenient variable a warning, for each value that is
// not of its field's type.
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

// value returns the field of a variable.
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
	panic("config: no variable " + name)
}
