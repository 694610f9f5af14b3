import Kernel

/// The tables of the agents' registry.
///
/// A heartbeat changes no indexed column of `agents`: neither engine then touches an index for it. `due_at` is never
/// later than the moment at which the status may change by itself; heartbeats leave it, and the loop moves it on.
public enum AgentSchema {
    public static let migrations = [
        Migration(
            "0010_agents",
            [
                """
                CREATE TABLE agents (
                  name TEXT NOT NULL PRIMARY KEY, project TEXT NOT NULL, labels TEXT NOT NULL,
                  capabilities TEXT NOT NULL, release_name TEXT, health_url TEXT, config_desired TEXT,
                  config_reported TEXT, status_message TEXT, last_heartbeat_at INTEGER, last_contact_at INTEGER,
                  cpu_percent REAL, memory_bytes INTEGER,
                  is_paused INTEGER NOT NULL CHECK (is_paused IN (0, 1)), paused_reason TEXT,
                  is_draining INTEGER NOT NULL CHECK (is_draining IN (0, 1)), draining_reason TEXT,
                  is_quarantined INTEGER NOT NULL CHECK (is_quarantined IN (0, 1)), quarantine_reason TEXT,
                  status TEXT NOT NULL CHECK (status IN ('never_seen', 'idle', 'busy', 'waiting', 'draining', 'paused',
                    'unreachable', 'offline', 'quarantined')),
                  status_since INTEGER NOT NULL, due_at INTEGER,
                  heartbeat_seconds INTEGER NOT NULL CHECK (heartbeat_seconds > 0),
                  health_status TEXT NOT NULL CHECK (health_status IN ('unknown', 'healthy', 'unhealthy')),
                  health_since INTEGER, health_checked_at INTEGER, health_failures INTEGER NOT NULL,
                  health_error TEXT, health_due_at INTEGER,
                  messages_waiting INTEGER NOT NULL CHECK (messages_waiting >= 0),
                  version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT
                """,
                "CREATE INDEX agents_project ON agents (project, name)",
                "CREATE INDEX agents_status ON agents (status, name)",
                "CREATE INDEX agents_due ON agents (due_at) WHERE due_at IS NOT NULL",
                "CREATE INDEX agents_health_due ON agents (health_due_at) WHERE health_due_at IS NOT NULL",
                """
                CREATE TABLE agent_capabilities (
                  capability TEXT NOT NULL, agent TEXT NOT NULL, PRIMARY KEY (capability, agent)) STRICT
                """,
                "CREATE INDEX agent_capabilities_agent ON agent_capabilities (agent)",
                """
                CREATE TABLE agent_messages (
                  agent TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL,
                  sender TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (agent, number)) STRICT
                """,
            ]),
        // Counts what was set above an agent's bundle, so that a heartbeat's reply says that something was.
        Migration(
            "0127_agents_config_revision",
            ["ALTER TABLE agents ADD COLUMN config_revision INTEGER NOT NULL DEFAULT 0"]),
        // With the rest that a claim reads, so that an agent in no roll-out costs its claims nothing.
        Migration("0133_agents_config_rollout", ["ALTER TABLE agents ADD COLUMN config_rollout TEXT"]),
    ]
}
