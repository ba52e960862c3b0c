package main

import (
	"testing"

	"slipway/internal/config"
)

func TestStoreExamples_ProductionIsRefusedUntilThePlaceholdersAreReplaced(t *testing.T) {
	t.Parallel()
	requirePlaceholders(t, newApplication().schema(), map[config.Role][]string{
		config.Web:         {"BASE_URL", "DATABASE_URL", "REDIS_URL", "SECRET_KEY_BASE", "SMTP_URL"},
		config.WorkerPG:    {"BASE_URL", "DATABASE_URL", "MAIL_FROM", "REDIS_URL", "SMTP_URL"},
		config.WorkerRedis: {"DATABASE_URL", "REDIS_URL"},
	})
}
