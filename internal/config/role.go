package config

// Role is a command that reads settings.
type Role string

// The roles and commands that read settings.
const (
	Web         Role = "web"
	WorkerPG    Role = "worker-pg"
	WorkerRedis Role = "worker-redis"
	Migrate     Role = "migrate"
	Seed        Role = "seed"
	Jobs        Role = "jobs"
	Health      Role = "health"
	Throttle    Role = "throttle"
)

// Roles are the long-running ones.
var Roles = []Role{Web, WorkerPG, WorkerRedis}
