package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const (
	alertsFile     = "ops/prometheus/alerts.yml"
	alertTestsFile = "ops/prometheus/alerts_test.yml"
)

func TestPrometheus_AlertsFireAsTheirTestsSay(t *testing.T) {
	t.Parallel()
	needProgram(t, "promtool")

	output, err := exec.Command("promtool", "test", "rules", inRepository(alertTestsFile)).CombinedOutput()

	require.NoError(t, err, string(output))
}

func TestPrometheus_EachAlertHasASeverityTestsAndAnAnswer(t *testing.T) {
	t.Parallel()
	_, answers, found := strings.Cut(repositoryFile(t, "docs/operate.md"), "\n## Answer an alert\n")
	require.True(t, found)
	answers, _, _ = strings.Cut(answers, "\n## ")
	var answered []string
	for _, heading := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(answers, -1) {
		answered = append(answered, heading[1])
	}
	fires, stays := testedAlerts(t)
	var names []string

	for _, alert := range readRules(t) {
		if alert.Alert == "" {
			continue
		}
		names = append(names, alert.Alert)
		require.Contains(t, []string{"critical", "warning"}, alert.Labels["severity"], alert.Alert)
		require.NotEmpty(t, alert.Annotations["summary"], alert.Alert)
		require.Equal(t, "docs/operate.md#"+strings.ToLower(alert.Alert), alert.Annotations["runbook"])
		require.True(t, fires[alert.Alert], "no test of %s lets %s fire", alertTestsFile, alert.Alert)
		require.True(t, stays[alert.Alert], "no test of %s keeps %s quiet", alertTestsFile, alert.Alert)
	}

	require.ElementsMatch(t, names, answered, "the sections of Answer an alert in docs/operate.md")
}

func TestPrometheus_ScrapesTheRolesOfKamalAndOfCompose(t *testing.T) {
	t.Parallel()
	needProgram(t, "promtool")
	for _, file := range []string{"ops/prometheus/prometheus.yml", "ops/prometheus/prometheus.compose.yml"} {
		output, err := exec.Command("promtool", "check", "config", inRepository(file)).CombinedOutput()
		require.NoError(t, err, "%s: %s", file, output)
		require.Contains(t, repositoryFile(t, file), "port: 9090\n")
	}
	for _, role := range roleNames() {
		require.Contains(t, repositoryFile(t, "ops/prometheus/prometheus.yml"), readKamal(t).Servers[role].Options["network-alias"])
	}
	require.Contains(t, repositoryFile(t, "ops/prometheus/prometheus.compose.yml"), "names: ["+strings.Join(roleNames(), ", ")+"]")
}

// Private

// rule is an alert, or a rule that records a series.
type rule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	require.NoError(t, yaml.Unmarshal([]byte(repositoryFile(t, alertsFile)), &file))
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	require.NotEmpty(t, rules)
	return rules
}

// testedAlerts are the alerts that a test lets fire, and those that one keeps quiet.
func testedAlerts(t *testing.T) (fires, stays map[string]bool) {
	t.Helper()
	var file struct {
		Tests []struct {
			Alerts []struct {
				Name     string      `yaml:"alertname"`
				Expected []yaml.Node `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(repositoryFile(t, alertTestsFile)), &file))
	fires, stays = map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, alert := range test.Alerts {
			if len(alert.Expected) > 0 {
				fires[alert.Name] = true
			} else {
				stays[alert.Name] = true
			}
		}
	}
	return fires, stays
}
