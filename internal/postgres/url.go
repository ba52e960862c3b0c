package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// parseURL parses a database URL, which may contain settings of a pool. When it
// names several servers, only one that accepts writes is used, unless the URL
// has target_session_attrs (PostgreSQL manual, "Connection Strings").
func parseURL(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	several := slices.ContainsFunc(config.ConnConfig.Fallbacks, func(other *pgconn.FallbackConfig) bool {
		return other.Host != config.ConnConfig.Host || other.Port != config.ConnConfig.Port
	})
	if several && config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = requireWritable
	}
	return config, nil
}

func requireWritable(ctx context.Context, connection *pgconn.PgConn) error {
	if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, connection); err != nil {
		if errors.Is(err, pgconn.ErrReadOnlyConnection) {
			return ErrReadOnly
		}
		return err
	}
	return nil
}
