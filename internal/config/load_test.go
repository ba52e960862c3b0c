package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLoad_ReportsEveryKindOfProblem(t *testing.T) {
	t.Parallel()
	for _, wrong := range []struct {
		role        Role
		name, value string
		text        string
	}{
		{Web, "APP_ENV", "prod", `is "prod"; it must be one of: development, test, production`},
		{Web, "LOG_LEVEL", "loud", `"loud" is not one of: debug, info, warn, error`},
		{Web, "LOG_FORMAT", "xml", `is "xml"; it must be one of: text, json`},
		{Web, "PORT", "http", `"http" is not a whole number`},
		{Web, "PORT", "0", "is 0; it must be between 1 and 65535"},
		{Web, "PORT", "65536", "is 65536; it must be between 1 and 65535"},
		{Web, "OPS_PORT", "3000", "is the same as PORT; /metrics must not be public"},
		{Web, "MAX_REQUEST_BODY", "1MB", `"1MB" is not a whole number`},
		{Web, "MAX_REQUEST_BODY", "99999999999999999999", `"99999999999999999999" is not a whole number`},
		{Web, "REQUEST_TIMEOUT", "10", `"10" is not a duration such as 250ms, 5s or 2m`},
		{Web, "REQUEST_TIMEOUT", "0s", "is 0s; it must be between 100ms and 10m0s"},
		{Web, "LIVE_STREAM_LIFETIME", "1h", "is 1h0m0s; it must be between 1s and 25s"},
		{Web, "DATABASE_POOL_SIZE", "1", "is 1; it must be between 4 and 40000"},
		{Web, "DATABASE_URL", " ", "is missing"},
		{Web, "REQUEST_TIMEOUT", "8s", "is 8s; it must be less than SHUTDOWN_TIMEOUT (8s), or a shutdown cancels requests"},
		{Web, "SHUTDOWN_TIMEOUT", "30s", ""},
		{Web, "DATABASE_POOL_SIZE", "7", ""},
		{Web, "DATABASE_URL", "app.example.com", "is not a PostgreSQL address"},
		{Web, "DATABASE_URL", "mysql://app@host/app?a=b", "is not an address that begins with postgres:// or postgresql://"},
		{Web, "DATABASE_URL", "postgres://app@host/app?pool_min_conns=many", "is not a PostgreSQL address"},
		{Web, "REDIS_URL", "localhost:6379", "is not an address that begins with redis:// or rediss://"},
		{Web, "REDIS_URL", "redis://:6379", "names no host"},
		{Web, "REDIS_URL", "redis://localhost/cache", "does not end with the number of a database"},
		{Web, "REDIS_URL", "redis://localhost?timeout=1", "has an option after ? that is neither db=NUMBER nor, for rediss://, skip_verify=true"},
		{Web, "QUEUE_REDIS_URL", "http://localhost", "is not an address that begins with redis:// or rediss://"},
		{Web, "BASE_URL", "app.example.com", "is not an address that begins with http:// or https://"},
		{Web, "BASE_URL", "ftp://app.example.com", "is not an address that begins with http:// or https://"},
		{Web, "SECRET_KEY_BASE", "too short", "has 9 characters; it must have at least 32"},
		{Web, "REDIS_DIAL_TIMEOUT", "0s", "is 0s; it must be between 1ms and 10s"},
		{Web, "REDIS_POOL_TIMEOUT", "1m", "is 1m0s; it must be between 1ms and 10s"},
		{Web, "REDIS_PROBE_INTERVAL", "1ms", "is 1ms; it must be between 10ms and 1m0s"},
		{Web, "REDIS_MIN_IDLE", "-1", "is -1; it must be between 0 and 10000"},
		{Web, "REDIS_MIN_IDLE", "21", "is 21; it must not be more than REDIS_POOL_SIZE (20)"},
		{Web, "REDIS_MAX_IN_FLIGHT", "0", "is 0; it must be between 1 and 100000"},
		{Web, "REDIS_FAILURES", "0", "is 0; it must be between 1 and 1000"},
		{Web, "SENTRY_DSN", "sentry.example.com", "is not an address of a project in Sentry, such as https://KEY@HOST/NUMBER"},
		{Web, "SENTRY_DSN", "https://sentry.example.com/1", "is not an address of a project in Sentry, such as https://KEY@HOST/NUMBER"},
		{Web, "SENTRY_DSN", "https://key@sentry.example.com/app", "is not an address of a project in Sentry, such as https://KEY@HOST/NUMBER"},
		{WorkerRedis, "REDIS_URL", "", "is missing"},
		{WorkerPG, "SMTP_URL", "mail.example.com:587", "is not an address that begins with smtp:// or smtps://"},
	} {
		variables := development()
		variables[wrong.name] = wrong.value

		_, _, err := runtime.Load(wrong.role, variables)

		var problems Problems
		if wrong.text == "" {
			require.NoError(t, err, "%s=%s", wrong.name, wrong.value)
			continue
		}
		require.ErrorAs(t, err, &problems, "%s=%s", wrong.name, wrong.value)
		require.Equal(t, Problems{{Name: wrong.name, Text: wrong.text, Example: runtime.named(wrong.name).Example}}, problems)
		require.Contains(t, err.Error(), "1 problem in the environment:\n  "+wrong.name+" "+wrong.text+"\n    example: "+wrong.name+"=")
	}
}

func TestLoad_AcceptsEveryFormOfURL(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"DATABASE_URL": {
			"postgres://app@localhost/app", "postgresql://app:a%40b@[::1]:5432/app?sslmode=disable&pool_min_conns=5",
			"postgres://app@one:5432,two:5433/app?target_session_attrs=read-write&channel_binding=prefer", "postgres:///app?host=/run&user=app",
			"postgres://app@%2Frun%2Fpg/app", "postgres://app:a:b@db/app?options=-c%20geqo%3Doff&search_path=shop&TimeZone.x=1&ssl=true",
			"host=/var/run/postgresql dbname=app", "user=app password='a://b' host=db",
		},
		"REDIS_URL": {
			"redis://localhost", "redis://:secret@localhost:6379/0", "redis://localhost:6379/", "rediss://u:p@host:6380/15?skip_verify=true",
			"redis://[::1]:6379?db=3", "unix:///run/redis.sock?db=1",
		},
		"BASE_URL":   {"http://localhost:3000", "https://app.example.com/"},
		"SENTRY_DSN": {"https://key@o1.ingest.sentry.io/42", "http://key:secret@sentry.internal:9000/prefix/1"},
		"SMTP_URL":   {"smtp://localhost:1025", "smtps://user:secret@mail.example.com"},
	} {
		for _, value := range values {
			variables := development()
			variables[name] = value

			_, _, err := runtime.Load(roleThatReads(name), variables)

			require.NoError(t, err, "%s=%s", name, value)
		}
	}
}

func TestLoad_ReportsAllProblemsAtOnceInOrder(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"PORT": "x", "REDIS_URL": "x", "REQUEST_TIMEOUT": "x", "APP_ENV": "x"}

	_, _, err := runtime.Load(Web, variables)

	// QUEUE_REDIS_URL has the wrong value of REDIS_URL, but is not reported, because it is unset.
	require.Equal(t, []string{"APP_ENV", "DATABASE_URL", "PORT", "REDIS_URL", "REQUEST_TIMEOUT"}, names(t, err))
	require.Contains(t, err.Error(), "5 problems in the environment:")
}

func TestLoad_ReadsOnlyTheVariablesOfTheRole(t *testing.T) {
	t.Parallel()
	variables := production()
	delete(variables, "SECRET_KEY_BASE")
	delete(variables, "REDIS_URL")
	variables["JOBS_SHUTDOWN_TIMEOUT"] = "soon"
	variables["TASKS_CONCURRENCY"] = "some"
	variables["PORT"] = "open"

	_, _, err := runtime.Load(Web, variables)
	require.Equal(t, []string{"PORT", "SECRET_KEY_BASE"}, names(t, err))

	_, _, err = runtime.Load(WorkerPG, variables)
	require.Equal(t, []string{"JOBS_SHUTDOWN_TIMEOUT", "PORT"}, names(t, err))

	_, _, err = runtime.Load(WorkerRedis, variables)
	require.Equal(t, []string{"JOBS_SHUTDOWN_TIMEOUT", "REDIS_URL", "TASKS_CONCURRENCY"}, names(t, err))

	_, _, err = runtime.Load(Migrate, variables)
	require.NoError(t, err)

	_, _, err = runtime.Load(Health, map[string]string{"PORT": "3000", "OPS_PORT": "3000"})
	require.NoError(t, err)
}

func TestLoad_ProductionRequiresURLsAndSecrets(t *testing.T) {
	t.Parallel()
	nothing := map[string]string{"APP_ENV": "production", "DATABASE_URL": "  "}

	_, _, err := runtime.Load(Web, nothing)
	require.Equal(t, []string{"BASE_URL", "DATABASE_URL", "SECRET_KEY_BASE"}, names(t, err))

	_, _, err = runtime.Load(WorkerPG, nothing)
	require.Equal(t, []string{"BASE_URL", "DATABASE_URL", "SMTP_URL"}, names(t, err))

	_, _, err = runtime.Load(WorkerRedis, nothing)
	require.Equal(t, []string{"DATABASE_URL", "REDIS_URL"}, names(t, err))

	for _, role := range []Role{Migrate, Seed} {
		_, _, err = runtime.Load(role, nothing)
		require.Equal(t, []string{"DATABASE_URL"}, names(t, err))
	}
}

func TestLoad_ProductionAcceptsAMailDirectoryInsteadOfAServer(t *testing.T) {
	t.Parallel()
	variables := production()
	delete(variables, "SMTP_URL")
	variables["MAIL_DIR"] = "/var/mail/app"

	config, _, err := runtime.Load(WorkerPG, variables)

	require.NoError(t, err)
	require.Equal(t, "/var/mail/app", config.MailDir)
}

func TestLoad_DevelopmentNeedsOnlyADatabase(t *testing.T) {
	t.Parallel()

	config, _, err := runtime.Load(Web, map[string]string{
		"DATABASE_URL": "postgres://localhost/app", "PORT": "4000", "REDIS_URL": "", "LOG_LEVEL": "\t",
	})

	require.NoError(t, err)
	require.Equal(t, Development, config.Environment)
	require.Equal(t, LogText, config.LogFormat)
	require.Equal(t, "127.0.0.1", config.BindAddress)
	require.Equal(t, "http://localhost:4000", config.BaseURL)
	require.Equal(t, "tmp/mail", config.MailDir)
	require.GreaterOrEqual(t, len(config.SecretKeyBase), 32)
	require.Empty(t, config.RedisURL)
	require.Empty(t, config.QueueRedisURL)
	require.Equal(t, 7*time.Second, config.RequestTimeout)
}

func TestLoad_WorkersLinkToTheWebOfTheSameMachine(t *testing.T) {
	t.Parallel()

	config, _, err := runtime.Load(WorkerPG, map[string]string{"DATABASE_URL": "postgres://localhost/app", "PORT": "4000"})

	require.NoError(t, err)
	require.Equal(t, "http://localhost:4000", config.BaseURL)
}

func TestLoad_ProductionDefaults(t *testing.T) {
	t.Parallel()

	config, _, err := runtime.Load(Web, production())

	require.NoError(t, err)
	require.Equal(t, LogJSON, config.LogFormat)
	require.Equal(t, "0.0.0.0", config.BindAddress)
	require.Equal(t, config.RedisURL, config.QueueRedisURL)
	require.Empty(t, config.MailDir)
}

func TestLoad_NeverQuotesASecret(t *testing.T) {
	t.Parallel()
	for _, variable := range runtime.Variables() {
		if variable.Secret == "" {
			continue
		}
		for _, value := range []string{
			"hunter2", "hunter2:", ":hunter2@", "scheme://u:hunter2@host/x y", "postgres://u:hunter2@host:port/db",
			"redis://:hunter2@host/db",
			"redis:hunter2@host:6379", "smtp://u:%zzhunter2@host", "host=db password=hunter2 port=x", "redis://host?password=hunter2",
			"postgres://u@host/db?password=hunter2&sslmode=maybe", "postgres://u:hunter2@ho st/db", "\x7fhunter2://", "redis://u:hunter2@",
		} {
			variables := development()
			variables[variable.Name] = value

			config, _, err := runtime.Load(roleThatReads(variable.Name), variables)

			if err != nil {
				require.NotContains(t, err.Error(), "hunter2", "%s=%s", variable.Name, value)
			}
			require.NotContains(t, runtime.shown(variable, config), "hunter2", "%s=%s", variable.Name, value)
		}
	}
}

func TestPool_HasAConnectionForEachPieceOfWork(t *testing.T) {
	t.Parallel()
	variables := development()
	variables["JOBS_CRITICAL_CONCURRENCY"], variables["JOBS_DEFAULT_CONCURRENCY"], variables["JOBS_LOW_CONCURRENCY"] = "5", "30", "5"
	variables["TASKS_CONCURRENCY"] = "12"
	for role, size := range map[Role]int{Web: 10, WorkerPG: 44, WorkerRedis: 16} {
		settings, warnings, err := runtime.Load(role, variables)

		require.NoError(t, err)
		require.Equal(t, size, settings.DatabasePoolSize, role)
		require.Empty(t, warnings)
	}

	settings, _, err := runtime.Load(WorkerPG, variables)
	require.NoError(t, err)
	require.Equal(t, 5, settings.CriticalReserve())
}

func TestPool_FollowsTheQueuesOfAWorker(t *testing.T) {
	t.Parallel()
	schema := NewSchema(nil)
	schema.Queues = map[string]int{"images": 2}
	variables := map[string]string{"DATABASE_URL": "postgres://localhost/app"}
	for queues, expected := range map[string][3]int{ // slots, connections, and those that are kept for critical jobs
		"": {75, 79, 21}, "images:4": {4, 8, 1}, "critical": {20, 24, 24}, "critical:10, low": {13, 17, 13}, "default,images": {52, 56, 1},
	} {
		variables["WORKER_QUEUES"] = queues
		settings, _, err := schema.Load(WorkerPG, variables)
		require.NoError(t, err)
		require.Equal(t, expected, [3]int{settings.JobSlots(), settings.DatabasePoolSize, settings.CriticalReserve()}, queues)
	}
	for queues, problem := range map[string]string{
		"images:many": "is not a list of different queues", "images:0": "from 1 to 10000", "low,low:2": "different queues",
		"lwo": `names "lwo", and there is no such queue: it is one of critical, default, images, low`,
	} {
		variables["WORKER_QUEUES"] = queues
		for _, role := range []Role{WorkerPG, WorkerRedis} {
			_, _, err := schema.Load(role, variables)
			require.ErrorContains(t, err, "WORKER_QUEUES", queues)
			require.ErrorContains(t, err, problem, queues)
		}
	}
}

func TestPool_WarnsWhenWorkWaitsForConnections(t *testing.T) {
	t.Parallel()
	variables := development()
	variables["DATABASE_POOL_SIZE"] = "10"

	settings, warnings, err := runtime.Load(WorkerPG, variables)
	require.NoError(t, err)
	require.Equal(t, 10, settings.DatabasePoolSize)
	require.Equal(t, 2, settings.CriticalReserve())
	require.ErrorContains(t, warnings, "DATABASE_POOL_SIZE is 10 for worker-pg, and 73 jobs run at the same time "+
		"(JOBS_CRITICAL_CONCURRENCY 20 + JOBS_DEFAULT_CONCURRENCY 50 + JOBS_LOW_CONCURRENCY 3), so some wait for a connection; set 77 or more")

	_, warnings, err = runtime.Load(WorkerRedis, variables)
	require.NoError(t, err)
	require.ErrorContains(t, warnings, "20 tasks run at the same time (TASKS_CONCURRENCY), so some wait for a connection; set 24 or more")

	_, warnings, err = runtime.Load(Web, variables)
	require.NoError(t, err)
	require.Empty(t, warnings)
}

func TestHelp_ListsTheVariablesOfTheRole(t *testing.T) {
	t.Parallel()

	help := runtime.Help(WorkerPG)

	require.Contains(t, help, "  DATABASE_POOL_SIZE           most connections to PostgreSQL in the pool of one process; unset: 10 for web, "+
		"one for each job or task at the same time and 4 more for a worker\n")
	require.NotContains(t, help, "SECRET_KEY_BASE")
}

// Private

// runtime is the schema without an application.
var runtime = NewSchema(nil)

func development() map[string]string {
	return map[string]string{"DATABASE_URL": "postgres://localhost/app", "REDIS_URL": "redis://localhost"}
}

func production() map[string]string {
	return map[string]string{
		"APP_ENV":         "production",
		"DATABASE_URL":    "postgres://app:secret@db/app",
		"REDIS_URL":       "redis://:secret@redis",
		"BASE_URL":        "https://app.example.com",
		"SECRET_KEY_BASE": "9f1c6a7be04d52837c5fe1a09b3d8264",
		"SMTP_URL":        "smtp://user:secret@mail",
	}
}

func names(t *testing.T, err error) []string {
	t.Helper()
	var problems Problems
	require.ErrorAs(t, err, &problems)
	var names []string
	for _, problem := range problems {
		names = append(names, problem.Name)
	}
	return names
}

func roleThatReads(name string) Role {
	for _, role := range Roles {
		if runtime.named(name).ReadBy(role) {
			return role
		}
	}
	panic("no role reads " + name)
}

func TestLoad_ALimitThatCannotBeParsedGetsItsDefaultAndAWarning(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"DATABASE_URL": "postgres://localhost/app", "RACK_ATTACK_REQ_IP_LIMIT": "-5", "RACK_ATTACK_REQ_IP_PERIOD": "soon",
		"RACK_ATTACK_LOGIN_LIMIT": "many", "RACK_ATTACK_LOGIN_PERIOD": "-1", "RACK_ATTACK_FAILED_LOGIN_PERIOD": "1ms",
		"RACK_ATTACK_FAILED_LOGIN_LIMIT": "", "RACK_ATTACK_FAILED_LOGIN_TTL": "99999999999",
	}

	config, warnings, err := runtime.Load(Web, variables)

	require.NoError(t, err)
	require.EqualValues(t, 300, config.ThrottleRequestLimit)
	require.Equal(t, Period(5*time.Minute), config.ThrottleRequestPeriod)
	require.EqualValues(t, 10, config.ThrottleLoginLimit)
	require.Equal(t, Period(time.Minute), config.ThrottleLoginPeriod)
	require.EqualValues(t, 5, config.ThrottleFailedLoginLimit)
	require.Equal(t, Period(20*time.Second), config.ThrottleFailedLoginPeriod)
	require.Equal(t, Period(5*time.Minute), config.ThrottleFailedLoginTTL)
	require.Equal(t, []string{
		"RACK_ATTACK_FAILED_LOGIN_PERIOD", "RACK_ATTACK_FAILED_LOGIN_TTL", "RACK_ATTACK_LOGIN_LIMIT",
		"RACK_ATTACK_LOGIN_PERIOD", "RACK_ATTACK_REQ_IP_LIMIT", "RACK_ATTACK_REQ_IP_PERIOD",
	}, names(t, warnings))
	require.ErrorContains(t, warnings, `"-5" is not a whole number from 0; 300 is used instead`)
	_, warnings, err = runtime.Load(WorkerPG, variables)
	require.NoError(t, err)
	require.Empty(t, warnings, "worker-pg reads none of them")
}

func TestLoad_ParsesPeriodsInSecondsAndAsDurations(t *testing.T) {
	t.Parallel()
	load := func(more ...string) Config {
		variables := map[string]string{"DATABASE_URL": "postgres://localhost/app"}
		for i := 0; i < len(more); i += 2 {
			variables[more[i]] = more[i+1]
		}
		config, warnings, err := runtime.Load(Web, variables)
		require.NoError(t, err)
		require.Empty(t, warnings)
		return config
	}

	require.Equal(t, Period(90*time.Second), load("RACK_ATTACK_REQ_IP_PERIOD", "90").ThrottleRequestPeriod)
	require.Equal(t, Period(2*time.Minute), load("RACK_ATTACK_REQ_IP_PERIOD", "2m").ThrottleRequestPeriod)
	require.Zero(t, load("RACK_ATTACK_REQ_IP_PERIOD", "0").ThrottleRequestPeriod)
	require.Zero(t, load("RACK_ATTACK_REQ_IP_LIMIT", "0").ThrottleRequestLimit)
	blocked := load("RACK_ATTACK_BLOCKLIST_IPS", " 192.0.2.7, 2001:db8:1::/32,")
	require.Equal(t, "192.0.2.7/32,2001:db8::/32", blocked.ThrottleBlocklist.String())
	require.Equal(t, "127.0.0.0/8,::1/128", load().ThrottleSafelist.String())
	require.Equal(t, "192.0.2.7/32", load("RACK_ATTACK_SAFELIST_IPS", "192.0.2.7").ThrottleSafelist.String())
	require.Empty(t, load("APP_ENV", "test").ThrottleSafelist)
	allowed := load("RACK_ATTACK_ALLOWED_COUNTRIES", "de, FR", "RACK_ATTACK_GEOIP_DATABASE", "x")
	require.Equal(t, Countries{"DE", "FR"}, allowed.AllowedCountries)
}

func TestLoad_RefusesListsThatCannotBeParsed(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"RACK_ATTACK_SAFELIST_IPS": "192.0.2.7/33", "RACK_ATTACK_TRUSTED_PROXIES": "all", "RACK_ATTACK_BLOCKLIST_IPS": "1.2.3",
		"RACK_ATTACK_ENABLED": "perhaps", "RACK_ATTACK_BLOCKED_COUNTRIES": "Germany", "RACK_ATTACK_WINDOW": "open",
		"RACK_ATTACK_IPV6_PREFIX": "16", "RACK_ATTACK_FALLBACK_DIVISOR": "0",
	} {
		_, _, err := runtime.Load(Web, map[string]string{"DATABASE_URL": "postgres://localhost/app", name: value})

		require.Equal(t, []string{name}, names(t, err))
	}
	_, _, err := runtime.Load(Web, map[string]string{"DATABASE_URL": "postgres://localhost/app", "RACK_ATTACK_BLOCKED_COUNTRIES": "DE"})
	require.Equal(t, []string{"RACK_ATTACK_GEOIP_DATABASE"}, names(t, err))
}
