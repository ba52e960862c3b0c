package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These tests are about values that can be read, but mean something else.

func TestLoad_NamesTheCharacterOfAPasswordThatEndsAnAddressTooEarly(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ before, after string }{
		"DATABASE_URL": {"postgres://app:", "@db:5432/app"}, "REDIS_URL": {"redis://:", "@redis:6379/0"},
		"SMTP_URL": {"smtp://AKIA:", "@mail.example.com:587"},
	} {
		for password, problem := range map[string]string{
			"x+3k/Qr9+z": `has "/" in its user or password; write it as %2F`,
			"1234/abc":   `has "/" in its user or password; write it as %2F`,
			"1234?abc":   `has "?" in its user or password; write it as %3F`,
			"pa#ss":      `has "#" in its user or password; write it as %23`,
			"12#34":      `has "#" in its user or password; write it as %23`,
			"pa@ss":      `has "@" in its user or password; write it as %40`,
			"p@x/ss":     `has "/" in its user or password; write it as %2F`,
			"pa ss":      `has " " in its user or password; write it as %20`,
			"pa[ss":      `has "[" in its user or password; write it as %5B`,
			`pa\ss`:      `has "\\" in its user or password; write it as %5C`,
			"50%off":     "has a % in its user or password that begins no code such as %2F; write it as %25",
		} {
			variables := development()
			variables[name] = row.before + password + row.after

			_, _, err := runtime.Load(roleThatReads(name), variables)

			require.Equal(t, []string{name}, names(t, err), password)
			require.ErrorContains(t, err, name+" "+problem)
			require.NotContains(t, err.Error(), password)
		}
		variables := development()
		variables[name] = row.before + "a%2Fb%40c%23d%3Fe+f:g%25" + row.after
		_, _, err := runtime.Load(roleThatReads(name), variables)
		require.NoError(t, err)
	}
}

func TestLoad_NamesPartsOfAnAddressThatNobodyReads(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, value, text string }{
		{"SMTP_URL", "smtp://mail.example.com:587/relay", "has a path or options after the host"},
		{"SMTP_URL", "smtp://mail.example.com?auth=plain", "has a path or options after the host"},
		{"SMTP_URL", "smtp://mail.example.com:99999", "has a port that is not a number from 1 to 65535"},
		{"SMTP_URL", "smtp://mail.example.com:smtp", "has a port that is not a number from 1 to 65535"},
		{"SMTP_URL", "smtp://mail.example.com#x", "has a # after the host"},
		{"SMTP_URL", "SMTP://mail.example.com", "is not an address that begins with smtp://"},
		{"REDIS_URL", "redis://redis:0/1", "has a port that is not a number from 1 to 65535"},
		{"DATABASE_URL", "postgres://app@db/app#x", "has a # after the host"},
		{"DATABASE_URL", "postgres://app@db:99999/app", "has a port that is not a number from 1 to 65535"},
		{"DATABASE_URL", "postgres://app@db/app?sslmode=no-verify", "has an sslmode that is none of disable, allow"},
		{"DATABASE_URL", "postgres://app@db/app?sslmode=verify-full&sslrootcert=/nowhere", "has an sslrootcert that cannot be read"},
		{"BASE_URL", "https://ada:hunter2@shop.example.com", "has a login, a path or a query; write only the scheme, the host and a port"},
		{"BASE_URL", "https://shop.example.com/store", "has a login, a path or a query"},
		{"BASE_URL", "https://shop.example.com?a=b", "has a login, a path or a query"},
		{"BASE_URL", "https://shop.example.com#a", "has a # after the host"},
		{"BASE_URL", "https:///cart", "names no host"},
		{"BASE_URL", "HTTPS://shop.example.com", "is not an address that begins with http:// or https://"},
	} {
		variables := development()
		variables[row.name] = row.value

		_, _, err := runtime.Load(roleThatReads(row.name), variables)

		require.Equal(t, []string{row.name}, names(t, err), row.value)
		require.ErrorContains(t, err, row.name+" "+row.text)
	}
}

func TestLoad_NamesOptionsOfOtherToolsInTheDatabaseAddress(t *testing.T) {
	t.Parallel()
	for options, text := range map[string]string{
		"pool=5":                     "has the option pool, which PostgreSQL does not get from an address: write DATABASE_POOL_SIZE",
		"schema=app":                 "has the option schema, which PostgreSQL does not get from an address: write search_path",
		"pgbouncer=true":             "has the option pgbouncer, which PostgreSQL does not get from an address: leave it out",
		"connection_limit=5":         "has the option connection_limit, ",
		"pool_max_conns=5":           "write DATABASE_POOL_SIZE",
		"statement_timeout=9000":     "write DATABASE_STATEMENT_TIMEOUT and WORKER_STATEMENT_TIMEOUT",
		"ssl=false":                  "write sslmode=disable or sslmode=require",
		"keepalives=1":               "has the option keepalives, ",
		"sslmode=require&pool=5&x=1": "write DATABASE_POOL_SIZE; it has the option x, ",
	} {
		for _, address := range []string{
			"postgres://app:secret@db/app?" + options, "host=db dbname=app " + strings.ReplaceAll(options, "&", " "),
		} {
			variables := development()
			variables["DATABASE_URL"] = address
			for _, role := range []Role{Web, WorkerPG, WorkerRedis, Migrate, Seed, Jobs} {
				_, _, err := runtime.Load(role, variables)
				require.ErrorContains(t, err, text, address)
			}
		}
	}
}

func TestLoad_TrimsEveryValueForEveryQuestion(t *testing.T) {
	t.Parallel()
	clean, dirty := production(), map[string]string{}
	clean["PORT"], clean["RACK_ATTACK_REQ_IP_LIMIT"], clean["REQUEST_TIMEOUT"] = "4000", "7", "3s"
	for _, end := range []string{"\n", "\r\n", " ", "\t", "\u00a0"} {
		for name, value := range clean {
			dirty[name] = end + value + end
		}

		for _, role := range Roles {
			want, _, err := runtime.Load(role, clean)
			require.NoError(t, err)
			config, warnings, err := runtime.Load(role, dirty)
			require.NoError(t, err)
			require.Empty(t, warnings)
			require.Equal(t, want, config, "%q", end)
		}
	}
}

func TestLoad_NamesCharactersThatCannotBeSeen(t *testing.T) {
	t.Parallel()
	for value, text := range map[string]string{
		"https://app\u200b.example.com":  "has a character that cannot be seen (U+200B, zero-width space) after 11 others; type the value again",
		"\ufeffhttps://shop.example.com": "has a character that cannot be seen (U+FEFF, byte-order mark) after 0 others",
		"https://shop.example.com\u2060": "has a character that cannot be seen (U+2060, word joiner) after 24 others",
		"https://app\n.example.com":      "has a character that cannot be seen (U+000A, line break)",
		"https://sh\u202eop.example.com": "has a character that cannot be seen (U+202E, right-to-left override)",
		"https://sh\u00a0op.example.com": "has a character that cannot be seen (U+00A0, no-break space)",
		"https://app\u3164.example.com":  "has a character that cannot be seen (U+3164)",
		"https://app\xff.example.com":    "is not valid UTF-8",
	} {
		_, _, err := runtime.Load(Web, map[string]string{"DATABASE_URL": "postgres://localhost/app", "BASE_URL": value})

		require.Equal(t, []string{"BASE_URL"}, names(t, err), "%q", value)
		require.ErrorContains(t, err, "BASE_URL "+text)
	}
	for _, variable := range runtime.Variables() {
		if variable.ReadBy(Web) {
			_, _, err := runtime.Load(Web, map[string]string{variable.Name: "x\u200by"})
			require.ErrorContains(t, err, variable.Name+" has a character that cannot be seen")
		}
	}
}

func TestLoad_RefusesSecretsThatCanBeGuessedInProduction(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{
		"not-a-secret-and-long-enough-for-development", "development only: anybody who reads the source knows this key",
		"only-for-trying-the-image-on-one-machine", "the output of: openssl rand -hex 64", "<openssl rand -hex 64 goes here....>",
		strings.Repeat("k", 64), strings.Repeat("0f", 64), strings.Repeat("0123456789abcdef", 2), strings.Repeat("hunter5", 10),
		"abcdefghijklmnopqrstuvwxyz0123456789", "changeme-changeme-changeme-please-42", strings.Repeat("aaaabbbb", 9) + "x",
		"00000000000000000000000000000001", "CHANGE_ME_CHANGE_YOU_CHANGE_US_ALL",
	} {
		variables := production()
		variables["SECRET_KEY_BASE"] = secret

		_, _, err := runtime.Load(Web, variables)
		require.Equal(t, []string{"SECRET_KEY_BASE"}, names(t, err), secret)
		require.NotContains(t, err.Error(), "SECRET_KEY_BASE "+secret)
		for _, role := range []Role{WorkerPG, WorkerRedis} {
			_, warnings, err := runtime.Load(role, variables)
			require.NoError(t, err)
			require.Empty(t, warnings)
		}

		variables["BASE_URL"] = "http://localhost:3000" // a trial on one machine
		_, warnings, err := runtime.Load(Web, variables)
		require.NoError(t, err, secret)
		require.Equal(t, []string{"BASE_URL", "SECRET_KEY_BASE"}, names(t, warnings))

		variables["APP_ENV"] = "development"
		_, warnings, err = runtime.Load(Web, variables)
		require.NoError(t, err)
		require.Empty(t, warnings)
	}
	for _, secret := range []string{
		"9f1c6a7be04d52837c5fe1a09b3d8264", "Zm9yIGEgcmFuZG9tIGtleSB0aGF0IG5vYm9keSBrbm93cw==", "31415926535897932384626433832795",
		"correct horse battery staple and some more words",
	} {
		variables := production()
		variables["SECRET_KEY_BASE"] = secret
		_, warnings, err := runtime.Load(Web, variables)
		require.NoError(t, err, secret)
		require.Empty(t, warnings)
	}
}

func TestLoad_RefusesPublicAddressesWithoutEncryptionInProduction(t *testing.T) {
	t.Parallel()
	for address, problem := range map[string]string{
		"http://shop.example.com": "refused", "http://192.0.2.7": "refused", "http://shop.example.com:8080": "refused",
		"http://10.0.0.7:3000": "warned", "http://app": "warned", "http://app.internal": "warned", "http://localhost:3000": "warned",
		"http://[::1]:3000": "warned", "http://app.example": "warned", "https://shop.example.com": "",
	} {
		for _, role := range []Role{Web, WorkerPG} {
			variables := production()
			variables["BASE_URL"] = address

			_, warnings, err := runtime.Load(role, variables)

			switch problem {
			case "refused":
				require.ErrorContains(t, err, "BASE_URL begins with http://, so browsers send cookies without encryption; write https:// in production")
			case "warned":
				require.NoError(t, err, address)
				require.ErrorContains(t, warnings, "BASE_URL begins with http://, so browsers send cookies without encryption; it is accepted")
			default:
				require.NoError(t, err)
				require.Empty(t, warnings)
			}
			variables["APP_ENV"] = "development"
			_, warnings, err = runtime.Load(role, variables)
			require.NoError(t, err)
			require.Empty(t, warnings)
		}
		_, warnings, err := runtime.Load(WorkerRedis, production())
		require.NoError(t, err)
		require.Empty(t, warnings)
	}
}

func TestLoad_WarnsOfMisspeltNames(t *testing.T) {
	t.Parallel()
	for name, meant := range map[string]string{
		"REDIS_ULR": "REDIS_URL", "REDIS_URI": "REDIS_URL", "redis_url": "REDIS_URL", "REDIS_URL\u00a0": "REDIS_URL",
		"\ufeffREDIS_URL": "REDIS_URL",
		"REDIS-URL":       "REDIS_URL", "RREDIS_URL": "REDIS_URL", "SENTRY_DNS": "SENTRY_DSN", "DATABASE_POOLSIZE": "DATABASE_POOL_SIZE",
		"RACK_ATTACK_REQ_IP_LIMITS": "RACK_ATTACK_REQ_IP_LIMIT", "SECRET_KEYBASE": "SECRET_KEY_BASE", "PROT": "PORT", "MAIL_DIRS": "MAIL_DIR",
	} {
		variables := development()
		variables[name] = "x"
		for _, role := range Roles {
			_, warnings, err := runtime.Load(role, variables)
			require.NoError(t, err)
			require.Equal(t, Problems{{Name: name, Text: "is not read; is " + meant + " meant?"}}, warnings)
		}
	}
	variables := development()
	for _, name := range []string{
		"PATH", "HOST", "HOME", "REDIS_HOST", "REDIS_PORT", "POSTGRES_PASSWORD", "DATABASE_HOST", "KAMAL_HOSTS", "SMTP_PORT", "TEST_REDIS_URL",
		"REDIS_SERVICE_PORT", "LOG_FILE", "MAIL", "PWD", "GOPROXY", "TASKS_X", "JOB", "NO_COLOR", "SENTRY_ENVIRONMENT", "APP_NAME",
	} {
		variables[name] = "x"
	}
	variables["REDIS_URLS"] = " " // empty, and so unset
	_, warnings, err := runtime.Load(Web, variables)
	require.NoError(t, err)
	require.Empty(t, warnings)
}

// A setting without bounds accepts a mistake such as 7000s for 7000ms.
func TestLoad_RefusesAbsurdNumbersAndDurations(t *testing.T) {
	t.Parallel()
	requireBounds(t, runtime, []string{"SERVE_STALE_FOR", "CACHE_SIZE", "REDIS_MIN_IDLE", "JOBS_KEEP_FAILED", "MAX_CONNECTIONS_PER_CLIENT"})
}

// Private

// requireBounds tries every number and duration of a schema with values that nobody
// can mean. Some variables may be zero.
func requireBounds(t *testing.T, schema *Schema, mayBeZero []string) {
	t.Helper()
	absurd := map[reflect.Type][]string{
		reflect.TypeFor[int]():           {"0", "-1", "2147483647"},
		reflect.TypeFor[int64]():         {"0", "-1", "9007199254740993"},
		reflect.TypeFor[time.Duration](): {"0s", "-1s", "8760h"},
	}
	tried := 0
	for _, variable := range schema.Variables() {
		values, is := absurd[reflect.TypeOf(variable.zero)]
		if !is {
			continue
		}
		for i, value := range values {
			if i == 0 && slices.Contains(mayBeZero, variable.Name) {
				continue
			}
			role := Role(variable.Roles[0])
			_, _, err := schema.Load(role, map[string]string{"DATABASE_URL": "postgres://localhost/app", variable.Name: value})
			require.ErrorContains(t, err, variable.Name+" is ", "%s=%s", variable.Name, value)
			require.ErrorContains(t, err, "it must be between", "%s=%s", variable.Name, value)
			tried++
		}
	}
	require.Greater(t, tried, 3*20)
}
