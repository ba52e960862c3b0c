package postgres

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// parseAddress reads an address, which may hold settings of a pool. Where it
// names several servers, only one that takes writes is used, unless the
// address says otherwise by target_session_attrs.
func parseAddress(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errAddress
	}
	several := slices.ContainsFunc(config.ConnConfig.Fallbacks, func(other *pgconn.FallbackConfig) bool {
		return other.Host != config.ConnConfig.Host || other.Port != config.ConnConfig.Port
	})
	if several && config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = takesWrites
	}
	return config, nil
}

func takesWrites(ctx context.Context, connection *pgconn.PgConn) error {
	if err := pgconn.ValidateConnectTargetSessionAttrsReadWrite(ctx, connection); err != nil {
		if errors.Is(err, pgconn.ErrReadOnlyConnection) {
			return ErrReadOnly
		}
		return err
	}
	return nil
}
