import Kernel

/// The tables of budgets: what may be spent, what was, and who has borrowed.
public enum BudgetSchema {
    public static let migrations = [
        Migration(
            "0040_budgets",
            [
                """
                CREATE TABLE budgets (
                  id TEXT NOT NULL PRIMARY KEY, scope TEXT NOT NULL, limit_usd INTEGER, limit_tokens INTEGER,
                  limit_calls INTEGER, limit_steps INTEGER,
                  period TEXT NOT NULL CHECK (period IN ('day', 'month', 'total')), mode TEXT NOT NULL,
                  soft_percent INTEGER NOT NULL, created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
                  updated_at INTEGER NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT NULL,
                  removed_at INTEGER) STRICT
                """,
                "CREATE UNIQUE INDEX budgets_scope ON budgets (scope) WHERE removed_at IS NULL",
                "CREATE INDEX budgets_revision ON budgets (revision)",
                """
                CREATE TABLE budget_windows (
                  id TEXT NOT NULL PRIMARY KEY, budget_id TEXT NOT NULL, period TEXT NOT NULL,
                  start_at INTEGER NOT NULL, settled_usd INTEGER NOT NULL, settled_tokens INTEGER NOT NULL,
                  settled_calls INTEGER NOT NULL, settled_steps INTEGER NOT NULL, breaches INTEGER NOT NULL,
                  wanted_until INTEGER NOT NULL, soft_at INTEGER, exhausted_at INTEGER,
                  touched INTEGER NOT NULL) STRICT
                """,
                "CREATE INDEX budget_windows_budget ON budget_windows (budget_id, period, start_at)",
                "CREATE INDEX budget_windows_touched ON budget_windows (touched)",
                "CREATE INDEX budget_windows_start ON budget_windows (start_at)",
                """
                CREATE TABLE budget_grants (
                  replica_id TEXT NOT NULL, window_id TEXT NOT NULL, granted_usd INTEGER NOT NULL,
                  granted_tokens INTEGER NOT NULL, granted_calls INTEGER NOT NULL, granted_steps INTEGER NOT NULL,
                  held_usd INTEGER NOT NULL, held_tokens INTEGER NOT NULL, held_calls INTEGER NOT NULL,
                  held_steps INTEGER NOT NULL, PRIMARY KEY (replica_id, window_id)) STRICT
                """,
                "CREATE INDEX budget_grants_window ON budget_grants (window_id)",
                """
                CREATE TABLE budget_replicas (
                  id TEXT NOT NULL PRIMARY KEY, incarnation INTEGER NOT NULL, synced INTEGER NOT NULL,
                  replayed INTEGER NOT NULL, lease_until INTEGER NOT NULL) STRICT
                """,
                "CREATE TABLE budget_clock (id INTEGER NOT NULL PRIMARY KEY, counter INTEGER NOT NULL) STRICT",
            ]),
        // Budgets that tasks came with go some time after them.
        Migration(
            "0041_budget_ends",
            [
                "ALTER TABLE budgets ADD COLUMN ended_at INTEGER",
                "CREATE INDEX budgets_ended ON budgets (ended_at) WHERE ended_at IS NOT NULL AND removed_at IS NULL",
            ]),
    ]
}
