package postgres

// MigrationLock lets a test stand in for another process that migrates.
const MigrationLock = migrationLock
