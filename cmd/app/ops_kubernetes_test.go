package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"slipway/internal/config"
)

func TestKubernetes_RunsTheRolesAndWaitsUntilTheyStop(t *testing.T) {
	t.Parallel()
	settings := productionSettings(t, oneOf(t, "settings.yml", "ConfigMap").Data)

	for _, role := range config.Roles {
		pod := oneOf(t, string(role)+".yml", "Deployment").Spec.Template.Spec
		container := pod.Containers[0]
		needed := longestStop(t, role, settings) + inSeconds(container.Lifecycle.PreStop.Sleep.Seconds)

		require.Equal(t, []string{"app", string(role)}, container.Args)
		require.Greater(t, inSeconds(pod.TerminationGracePeriodSeconds), needed, role)
		require.Equal(t, probe{"/up", "ops"}, container.StartupProbe.HTTPGet)
		require.Equal(t, probe{"/up", "ops"}, container.LivenessProbe.HTTPGet)
		require.Equal(t, probe{"/ready", "ops"}, container.ReadinessProbe.HTTPGet)
		require.Contains(t, container.Ports, port{"ops", 9090})
	}

	web := oneOf(t, "web.yml", "Deployment").Spec.Template.Spec.Containers[0]
	loaded, _, err := newApplication().schema().Load(config.Web, settings)
	require.NoError(t, err)
	require.Contains(t, web.Ports, port{"http", loaded.Port})
	require.Equal(t, 9090, loaded.OpsPort)
	require.Positive(t, web.Lifecycle.PreStop.Sleep.Seconds, "requests still arrive after the pod has begun to end")
}

func TestKubernetes_TheMigrationIsAJobThatOutlastsTheProgram(t *testing.T) {
	t.Parallel()

	job := oneOf(t, "migrate.yml", "Job").Spec

	require.Equal(t, []string{"app", "migrate"}, job.Template.Spec.Containers[0].Args)
	require.Equal(t, "Never", job.Template.Spec.RestartPolicy)
	require.Greater(t, time.Duration(job.ActiveDeadlineSeconds)*time.Second, migrateTimeout)
}

func TestKubernetes_PodsMayDoNothingButRun(t *testing.T) {
	t.Parallel()
	images := map[string]bool{}

	for file, kind := range map[string]string{
		"web.yml": "Deployment", "worker-pg.yml": "Deployment", "worker-redis.yml": "Deployment", "migrate.yml": "Job",
	} {
		pod := oneOf(t, file, kind).Spec.Template.Spec
		container := pod.Containers[0]
		images[container.Image] = true

		require.Contains(t, repositoryFile(t, "Dockerfile"), "\nUSER 65532:65532\n")
		require.Equal(t, []any{true, 65532, 65532}, []any{
			pod.SecurityContext["runAsNonRoot"], pod.SecurityContext["runAsUser"], pod.SecurityContext["runAsGroup"],
		}, file)
		require.Equal(t, true, container.SecurityContext["readOnlyRootFilesystem"], file)
		require.Equal(t, false, container.SecurityContext["allowPrivilegeEscalation"], file)
		require.NotNil(t, pod.AutomountServiceAccountToken)
		require.False(t, *pod.AutomountServiceAccountToken, file)
	}
	require.Len(t, images, 1, "a release is one image")
}

func TestKubernetes_SettingsAreVariables(t *testing.T) {
	t.Parallel()
	for name := range oneOf(t, "settings.yml", "ConfigMap").Data {
		require.True(t, isVariable(name), "nothing reads %s", name)
	}
}

// Private

// manifest is an object of Kubernetes. The fields are all that the files of this
// repository use, so that a misspelt one is an error.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name   string
		Labels map[string]string
	}
	Data map[string]string
	Spec manifestSpec
}

type manifestSpec struct {
	Replicas              int
	MinAvailable          int `yaml:"minAvailable"`
	RevisionHistoryLimit  int `yaml:"revisionHistoryLimit"`
	BackoffLimit          int `yaml:"backoffLimit"`
	ActiveDeadlineSeconds int `yaml:"activeDeadlineSeconds"`
	Selector, Strategy    map[string]any
	Template              struct {
		Metadata struct{ Labels map[string]string }
		Spec     podSpec
	}
	Ports      []map[string]any
	TLS, Rules []map[string]any
}

type podSpec struct {
	TerminationGracePeriodSeconds int            `yaml:"terminationGracePeriodSeconds"`
	AutomountServiceAccountToken  *bool          `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            *bool          `yaml:"enableServiceLinks"`
	RestartPolicy                 string         `yaml:"restartPolicy"`
	SecurityContext               map[string]any `yaml:"securityContext"`
	Containers                    []podContainer
}

type podContainer struct {
	Name, Image     string
	Args            []string
	EnvFrom         []map[string]any `yaml:"envFrom"`
	Ports           []port
	StartupProbe    httpProbe `yaml:"startupProbe"`
	LivenessProbe   httpProbe `yaml:"livenessProbe"`
	ReadinessProbe  httpProbe `yaml:"readinessProbe"`
	Resources       map[string]any
	SecurityContext map[string]any `yaml:"securityContext"`
	Lifecycle       struct {
		PreStop struct {
			Sleep struct{ Seconds int }
		} `yaml:"preStop"`
	}
}

type port struct {
	Name          string
	ContainerPort int `yaml:"containerPort"`
}

type probe struct{ Path, Port string }

type httpProbe struct {
	HTTPGet          probe `yaml:"httpGet"`
	PeriodSeconds    int   `yaml:"periodSeconds"`
	TimeoutSeconds   int   `yaml:"timeoutSeconds"`
	FailureThreshold int   `yaml:"failureThreshold"`
}

// oneOf returns the one object of a kind in a file of ops/kubernetes.
func oneOf(t *testing.T, file, kind string) manifest {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewBufferString(repositoryFile(t, "ops/kubernetes/"+file)))
	decoder.KnownFields(true)
	var found []manifest
	for {
		var object manifest
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, file)
		if object.Kind == kind {
			found = append(found, object)
		}
	}
	require.Len(t, found, 1, "%s in %s", kind, file)
	return found[0]
}
