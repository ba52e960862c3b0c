package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mutant is a small change of the source that breaks a promise.
type mutant struct {
	Promise string `yaml:"promise"` // what no longer holds
	File    string `yaml:"file"`    // relative to the root of the repository
	Before  string `yaml:"before"`  // occurs once in the file
	After   string `yaml:"after"`
	Test    string `yaml:"test"` // arguments of go test, separated by blanks
}

// readMutants reads the lists mutants.yml of all packages of the source in the
// directory root, and checks that each mutant changes one place. Its error names
// each mutant that does not.
func readMutants(root string) (mutants []mutant, err error) {
	lists, err := filepath.Glob(filepath.Join(root, "*", "*", "mutants.yml"))
	if err != nil {
		return nil, fmt.Errorf("find the lists of mutants: %w", err)
	}
	var problems []error
	for _, list := range lists {
		listed, err := readList(list)
		if err != nil {
			return nil, err
		}
		for i, m := range listed {
			_, err := m.mutated(root)
			if err == nil {
				err = m.findTest(root)
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("mutant %d of %s (%s): %w", i+1, list, m.Promise, err))
			}
		}
		mutants = append(mutants, listed...)
	}
	return mutants, errors.Join(problems...)
}

func readList(list string) (mutants []mutant, err error) {
	content, err := os.ReadFile(list)
	if err != nil {
		return nil, fmt.Errorf("read a list of mutants: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&mutants); err != nil {
		return nil, fmt.Errorf("read the list of mutants %s: %w", list, err)
	}
	return mutants, nil
}

// findTest returns an error when the packages of the mutant have no test that its
// flag -run selects, as after a test was renamed.
func (m mutant) findTest(root string) error {
	words := strings.Fields(m.Test)
	at := slices.Index(words, "-run")
	if at < 0 || at+1 >= len(words) {
		return nil
	}
	name, _, _ := strings.Cut(words[at+1], "/") // after the slash stands a subtest
	pattern, err := regexp.Compile(name)
	if err != nil {
		return fmt.Errorf("read its flag -run: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(root, words[0], "*_test.go"))
	if err != nil {
		return fmt.Errorf("find its tests: %w", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read its tests: %w", err)
		}
		for _, found := range declaredTest.FindAllSubmatch(content, -1) {
			if pattern.Match(found[1]) {
				return nil
			}
		}
	}
	return fmt.Errorf("no test in %s matches %s", words[0], name)
}

var declaredTest = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

func matching(mutants []mutant, pattern *regexp.Regexp) []mutant {
	return slices.DeleteFunc(mutants, func(m mutant) bool {
		return !pattern.MatchString(m.Promise) && !pattern.MatchString(m.File) && !pattern.MatchString(m.Test)
	})
}

// mutated returns the content of the file with the change.
func (m mutant) mutated(root string) ([]byte, error) {
	switch {
	case m.Promise == "" || m.Test == "":
		return nil, errors.New("it needs promise, file, before, after and test")
	case m.Before == m.After:
		return nil, errors.New("before and after are the same")
	}
	content, err := os.ReadFile(filepath.Join(root, m.File))
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	if n := bytes.Count(content, []byte(m.Before)); n != 1 {
		return nil, fmt.Errorf("its text before occurs %d times in %s, and not once", n, m.File)
	}
	return bytes.Replace(content, []byte(m.Before), []byte(m.After), 1), nil
}

// overlay writes the changed file and a description of the replacement to
// directory. It returns the path of the description, for the flag -overlay of go.
func (m mutant) overlay(root, directory string) (string, error) {
	content, err := m.mutated(root)
	if err != nil {
		return "", err
	}
	original, err := filepath.Abs(filepath.Join(root, m.File))
	if err != nil {
		return "", fmt.Errorf("find %s: %w", m.File, err)
	}
	changed := filepath.Join(directory, filepath.Base(m.File))
	description, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", fmt.Errorf("describe the replacement of %s: %w", m.File, err)
	}
	path := filepath.Join(directory, "overlay.json")
	return path, errors.Join(os.WriteFile(changed, content, 0o600), os.WriteFile(path, description, 0o600))
}
