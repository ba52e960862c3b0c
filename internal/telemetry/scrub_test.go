package telemetry

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestScrub_HidesCredentials(t *testing.T) {
	t.Parallel()
	for message, scrubbed := range map[string]string{
		"dial redis://:hunter2@db:6379/0: refused":                                             "dial redis://***@db:6379/0: refused",
		"dial redis://u:hun@ter2@db:6379/0":                                                    "dial redis://***@db:6379/0",
		"dial redis://u:hunter2/x@db":                                                          "dial redis://***@db",
		"dial redis://:hun ter2@db: refused":                                                   "dial redis://***@db: refused",
		`parse "redis://:hun\"ter2@db": invalid`:                                               `parse "redis://***@db": invalid`,
		"from postgres://a:hunter2@b to smtp://c@d":                                            "from postgres://***@b to smtp://***@d",
		"host=db password=hunter2 dbname=app":                                                  "host=db password=*** dbname=app",
		"host=db password='hunter2 hunter2' dbname=app":                                        "host=db password=*** dbname=app",
		"password='hunter2''s' dbname=app":                                                     "password=*** dbname=app",
		`password='hunter2\'s' dbname=app`:                                                     "password=*** dbname=app",
		"password=hun&ter2 dbname=app":                                                         "password=*** dbname=app",
		"GET /x?token=hunter2&page=2":                                                          "GET /x?token=***&page=2",
		"GET /x?access_token=hunter2&page=2":                                                   "GET /x?access_token=***&page=2",
		`{"password": "hunter2 x", "name": "a"}`:                                               `{"password": ***, "name": "a"}`,
		`body "{\"password\":\"hunter2 x\",\"b\":1}"`:                                          `body "{\"password\":***,\"b\":1}"`,
		"Secret: hunter2":                                                                      "Secret: ***",
		"SECRET_KEY_BASE=hunter2 PORT=1":                                                       "SECRET_KEY_BASE=*** PORT=1",
		"AWS_SECRET_ACCESS_KEY=hunter2":                                                        "AWS_SECRET_ACCESS_KEY=***",
		"sslpassword=hunter2 x=1":                                                              "sslpassword=*** x=1",
		`token "hunter2": no such token`:                                                       `token "hunter2": no such token`, // a word, not a field
		"Authorization: Basic aHVudGVyMg==\nnext":                                              "Authorization: ***\nnext",
		"Set-Cookie: session=hunter2; Path=/; a=b\r\nnext":                                     "Set-Cookie: ***\r\nnext",
		"sent Bearer hunter2.x-y to /api":                                                      "sent Bearer *** to /api",
		"no such key sk_live_4eC39HqLyjWDarjtT1 here":                                          "no such key *** here",
		"AKIAIOSFODNN7EXAMPLE is disabled":                                                     "*** is disabled",
		"jwt eyJhbGciOi.eyJzdWIi.c2ln expired":                                                 "jwt *** expired",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END RSA PRIVATE KEY-----\nx":        "***\nx",
		"ERR unknown command 'AUTH2', with args beginning with: 'default' 'hunter2' ":          "ERR unknown command 'AUTH2', with args beginning with: ***",
		`strconv.Atoi: parsing "4242 4242 4242 4242": invalid`:                                 `strconv.Atoi: parsing "***": invalid`,
		"live event 1764047284000123 is old":                                                   "live event 1764047284000123 is old",
		"user@example.com wrote to http://host/a":                                              "user@example.com wrote to http://host/a",
		"asked http://host:3000/a for user@example.com":                                        "asked http://host:3000/a for user@example.com",
		"asked http://[::1]:3000 for user@example.com":                                         "asked http://[::1]:3000 for user@example.com",
		"password authentication failed for user \"app\"":                                      "password authentication failed for user \"app\"",
		"failed to connect to `user=app database=app`: 127.0.0.1:5432 (127.0.0.1): dial error": "failed to connect to `user=app database=app`: 127.0.0.1:5432 (127.0.0.1): dial error",
	} {
		require.Equal(t, scrubbed, Scrub(message))
	}
}

func TestRedact_HidesPersonalData(t *testing.T) {
	t.Parallel()
	for message, redacted := range map[string]string{
		`mailbox ada.lovelace+test@example.com is full`:            `mailbox ***@*** is full`,
		`read tcp 10.0.0.7:51234->192.0.2.1:6379: i/o timeout`:     `read tcp ***->***: i/o timeout`,
		`dial tcp [2001:db8::7]:6379: connect: connection refused`: `dial tcp [***]:6379: connect: connection refused`,
		`client ::1 left`: `client *** left`,
		`invalid input syntax for type bigint: "ada lives here" (22P02)`: `invalid input syntax for type bigint: "***" (22P02)`,
		"unknown command `GET`":                                                  `unknown command "***"`,
		`get /search?q=gift+for+ada&page=2 failed`:                               `get /search?*** failed`,
		`dial redis://:hunter2@db: at 05:28:34 on 2026-11-30`:                    `dial redis://***@***: at 05:28:34 on 2026-11-30`,
		`ERROR: duplicate key value violates unique constraint (SQLSTATE 23505)`: `ERROR: duplicate key value violates unique constraint (SQLSTATE 23505)`,
	} {
		require.Equal(t, redacted, redact(message))
	}
}

// FuzzScrub puts a secret in every kind of place that Scrub searches.
func FuzzScrub(f *testing.F) {
	for _, seed := range []string{
		"hunter2", "hun ter2", "hun@ter2", "a'b", `a"b`, "a&b=c", "a\\b", "://x@y", "p:/?#[]@!$&'()*+,;=", "é\x00\xff", "x\ny",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		const mark = "hunter2" // must never appear, whatever text of the fuzzer surrounds it
		secret = strings.ReplaceAll(secret, mark, "") + mark + secret
		inJSON, err := json.Marshal(map[string]string{"client_secret": secret})
		require.NoError(t, err)

		for _, message := range []string{
			"dial redis://:" + url.QueryEscape(secret) + "@db:6379/0: refused",
			"dial " + (&url.URL{Scheme: "postgres", User: url.UserPassword("app", secret), Host: "db"}).String(),
			"GET /reset?token=" + url.QueryEscape(secret) + "&page=2",
			"host=db password='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secret) + "' port=1",
			"request " + string(inJSON),
			"request " + strconv.Quote(string(inJSON)),
			"API_KEY=" + strconv.Quote(secret),
			"Cookie: " + strings.NewReplacer("\r", "", "\n", "").Replace(secret),
			"authorization: Bearer " + strings.NewReplacer("\r", "", "\n", "").Replace(secret),
			"-----BEGIN PRIVATE KEY-----" + secret + "-----END PRIVATE KEY-----",
			"ERR unknown command, with args beginning with: " + secret,
		} {
			scrubbed := Scrub(message)

			require.NotContains(t, scrubbed, mark, "%q", message)
			require.NotContains(t, redact(message), mark, "%q", message)
			require.LessOrEqual(t, len(truncate(scrubbed)), longestMessage+len("…"))
			require.Equal(t, utf8.ValidString(scrubbed), utf8.ValidString(truncate(scrubbed)))
		}
	})
}
