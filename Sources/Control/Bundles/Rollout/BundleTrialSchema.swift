import Kernel

/// The tables of roll-outs: each with its agents, and the units that were given to either version.
public enum BundleTrialSchema {
    public static let migrations = [
        Migration(
            "0132_bundle_rollouts",
            [
                """
                CREATE TABLE bundle_rollouts (
                  id TEXT NOT NULL PRIMARY KEY, version TEXT NOT NULL,
                  unit TEXT NOT NULL CHECK (unit IN ('tasks', 'agents')), state TEXT NOT NULL, record TEXT NOT NULL,
                  cost_limit INTEGER, author TEXT NOT NULL, message TEXT NOT NULL, reason TEXT,
                  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, ended_at INTEGER,
                  swept INTEGER NOT NULL DEFAULT 0) STRICT
                """,
                "CREATE INDEX bundle_rollouts_open ON bundle_rollouts (id) WHERE ended_at IS NULL",
                "CREATE INDEX bundle_rollouts_unswept ON bundle_rollouts (ended_at) WHERE swept = 0",
                """
                CREATE TABLE bundle_rollout_agents (
                  rollout TEXT NOT NULL, place INTEGER NOT NULL, agent TEXT NOT NULL, stable TEXT NOT NULL,
                  PRIMARY KEY (rollout, place)) STRICT
                """,
                "CREATE INDEX bundle_rollout_agents_agent ON bundle_rollout_agents (agent, rollout)",
                // A task is one unit, whose first attempt counts: its later ones are no news of the version.
                """
                CREATE TABLE bundle_rollout_units (
                  rollout TEXT NOT NULL, task_id TEXT NOT NULL, fence INTEGER NOT NULL, step INTEGER NOT NULL,
                  is_new INTEGER NOT NULL CHECK (is_new IN (0, 1)), share REAL NOT NULL,
                  is_begun INTEGER NOT NULL CHECK (is_begun IN (0, 1)),
                  state TEXT NOT NULL CHECK (state IN ('open', 'counted', 'void')),
                  PRIMARY KEY (rollout, task_id)) STRICT
                """,
                """
                CREATE INDEX bundle_rollout_units_open ON bundle_rollout_units (rollout, task_id)
                WHERE state = 'open'
                """,
            ])
    ]
}
