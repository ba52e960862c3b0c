package config

// Role is a role or command, as the tag roles of a field names it.
type Role string

// The roles and the commands that read settings.
const (
	Web         Role = "web"
	WorkerPG    Role = "worker-pg"
	WorkerRedis Role = "worker-redis"
	Migrate     Role = "migrate"
	Seed        Role = "seed"
	Jobs        Role = "jobs"
	Health      Role = "health"
	Throttle    Role = "throttle"
	Cache       Role = "cache"
)

// Roles are the roles that run until they are stopped. The others are commands.
var Roles = []Role{Web, WorkerPG, WorkerRedis}
