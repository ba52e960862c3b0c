package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// serverParameters are the options of an address that the driver or the server
// understands, besides those that the driver sends to nobody, such as sslmode.
var serverParameters = strings.Fields(`
	application_name options search_path role client_encoding client_min_messages datestyle intervalstyle
	extra_float_digits bytea_output standard_conforming_strings escape_string_warning row_security
	default_transaction_isolation default_transaction_read_only default_transaction_deferrable
	synchronous_commit work_mem maintenance_work_mem temp_buffers temp_file_limit hash_mem_multiplier
	idle_session_timeout transaction_timeout client_connection_check_interval
	tcp_keepalives_idle tcp_keepalives_interval tcp_keepalives_count tcp_user_timeout
	jit plan_cache_mode random_page_cost effective_cache_size max_parallel_workers_per_gather
	log_statement log_min_duration_statement track_io_timing lc_messages lc_monetary lc_numeric lc_time
	default_query_exec_mode statement_cache_capacity description_cache_capacity
	pool_min_conns pool_min_idle_conns pool_max_conn_idle_time pool_health_check_period`)

// otherOptions are options that other tools know, and options that the program
// overrides, with what to write instead.
var otherOptions = map[string]string{
	"pool": poolSize, "pool_size": poolSize, "connection_limit": poolSize, "max_connections": poolSize, "pool_max_conns": poolSize,
	"schema": "write search_path", "currentschema": "write search_path", "schema_search_path": "write search_path",
	"statement_timeout": "write DATABASE_STATEMENT_TIMEOUT and WORKER_STATEMENT_TIMEOUT", "lock_timeout": "write DATABASE_LOCK_TIMEOUT",
	"pool_timeout": "write DATABASE_ACQUIRE_TIMEOUT", "checkout_timeout": "write DATABASE_ACQUIRE_TIMEOUT",
	"timeout": "write DATABASE_CONNECT_TIMEOUT", "pool_ping_timeout": "write DATABASE_PING_TIMEOUT",
	"ssl": "write sslmode=disable or sslmode=require", "sslaccept": "write sslmode=require or sslmode=verify-full",
	"encoding": "write client_encoding", "timezone": "leave it out, because the program works in UTC",
	"pool_max_conn_lifetime": setByProgram, "pool_max_conn_lifetime_jitter": setByProgram,
	"idle_in_transaction_session_timeout": setByProgram,
}

const (
	poolSize     = "write DATABASE_POOL_SIZE"
	setByProgram = "leave it out, because the program sets it"
)

var optionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,50}$`)

// postgresProblem returns what is wrong with an address of PostgreSQL, or "": that is
// postgres://… or "host=… dbname=…".
func postgresProblem(value string) string {
	scheme, _, isURL := strings.Cut(value, "://")
	isURL = isURL && !strings.Contains(scheme, "=")
	if isURL {
		if problem := loginProblem(value, "postgres", "postgresql"); problem != "" {
			return problem
		}
		if strings.Contains(value, "#") {
			return "has a # after the host; leave it out"
		}
	}
	parsed, err := pgconn.ParseConfig(value)
	if err == nil {
		_, err = pgxpool.ParseConfig(value)
	}
	if err != nil {
		return driverProblem(err.Error())
	}
	return optionsProblem(parsed.RuntimeParams)
}

// driverProblem says what an error of the driver says, which may quote a password.
func driverProblem(text string) string {
	switch {
	case strings.Contains(text, "sslmode is invalid"):
		return "has an sslmode that is none of disable, allow, prefer, require, verify-ca, verify-full"
	case strings.Contains(text, "invalid port"):
		return "has a port that is not a number from 1 to 65535"
	case strings.Contains(text, "unable to read CA file"):
		return "has an sslrootcert that cannot be read"
	}
	return "is not a PostgreSQL address"
}

// optionsProblem returns which options nobody understands, or "".
func optionsProblem(given map[string]string) string {
	fromEnvironment := map[string]string{}
	if parsed, err := pgconn.ParseConfig(""); err == nil {
		fromEnvironment = parsed.RuntimeParams // PGOPTIONS and others
	}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		lower := strings.ToLower(name)
		value, inherited := fromEnvironment[name]
		if slices.Contains(serverParameters, lower) || strings.Contains(name, ".") || inherited && value == given[name] {
			continue
		}
		if !optionName.MatchString(name) {
			name = "with an unreadable name"
		}
		instead := otherOptions[lower]
		if instead == "" {
			instead = "leave it out; parameters of the server may also be written as options=-c%20NAME%3DVALUE"
		}
		unknown = append(unknown, fmt.Sprintf("has the option %s, which PostgreSQL does not get from an address: %s", name, instead))
	}
	return strings.Join(unknown, "; it ")
}
