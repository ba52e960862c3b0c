package postgres

// MigrationLock lets a test hold the lock of a migrating process.
const MigrationLock = migrationLock
