import Kernel

/// The tables of tasks. Live tasks and finished ones have the same columns in two tables: the live one stays small, so
/// claims are as fast after a million tasks as on the first day.
public enum TaskSchema {
    /// - Parameters:
    ///   - states: The check of the state.
    ///   - later: Columns that came since, each behind a comma.
    private static func taskTable(_ name: String, states: String = statesListed, later: String = "") -> String {
        """
        CREATE TABLE \(name) (
          id TEXT NOT NULL PRIMARY KEY, project TEXT NOT NULL, queue TEXT NOT NULL, type TEXT NOT NULL,
          title TEXT NOT NULL, input TEXT NOT NULL, requires TEXT NOT NULL, deliverable_schema TEXT, review TEXT,
          budget TEXT, lease_us INTEGER NOT NULL, start_within_us INTEGER NOT NULL, timeout_us INTEGER,
          progress_within_us INTEGER, start_by INTEGER, unique_key TEXT, concurrency_key TEXT,
          on_lease_lost TEXT NOT NULL, on_exhausted TEXT NOT NULL, supersedes TEXT, correlation_id TEXT,
          created_by TEXT NOT NULL, created_at INTEGER NOT NULL,
          state TEXT NOT NULL CHECK (\(states)),
          reason TEXT, priority INTEGER NOT NULL, max_attempts INTEGER NOT NULL, pinned_agent TEXT,
          preferred_agent TEXT, preferred_until INTEGER, owner TEXT, fence INTEGER NOT NULL, claims INTEGER NOT NULL,
          attempts INTEGER NOT NULL, lease_losses INTEGER NOT NULL, snoozes INTEGER NOT NULL,
          review_rounds INTEGER NOT NULL, pending_dependencies INTEGER NOT NULL CHECK (pending_dependencies >= 0),
          hold_count INTEGER NOT NULL CHECK (hold_count >= 0), scheduled_for INTEGER, enqueued_at INTEGER,
          started_at INTEGER, lease_granted_at INTEGER, lease_expires_at INTEGER, lease_lost_at INTEGER,
          attempt_deadline INTEGER, progress_deadline INTEGER, cancel_requested_at INTEGER, pause_requested_at INTEGER,
          stop_deadline INTEGER, wait TEXT NOT NULL, wait_until INTEGER, checkpoint TEXT NOT NULL, progress REAL,
          note TEXT, output TEXT NOT NULL, usage_before TEXT NOT NULL, usage_now TEXT NOT NULL,
          submission_sha256 TEXT, submitted_at INTEGER, updated_at INTEGER NOT NULL, finished_at INTEGER,
          event_count INTEGER NOT NULL, lane TEXT NOT NULL, order_key INTEGER NOT NULL, wake_at INTEGER\(later),
          CHECK ((state IN ('claimed', 'running')) = (lease_expires_at IS NOT NULL)),
          CHECK (state <> 'blocked' OR pending_dependencies > 0)) STRICT
        """
    }

    private static let statesListed = """
        state IN ('scheduled', 'blocked', 'ready', 'claimed', 'running', 'waiting',
            'in_review', 'held', 'done', 'failed', 'canceled', 'expired', 'skipped')
        """

    /// The states that a task is changed to most often come first: the rest is not looked at then.
    private static let statesCompared = """
        state = 'claimed' OR state = 'done' OR state = 'running' OR state = 'ready' OR state = 'blocked'
            OR state = 'scheduled' OR state = 'waiting' OR state = 'in_review' OR state = 'held' OR state = 'failed'
            OR state = 'canceled' OR state = 'expired' OR state = 'skipped'
        """

    /// Puts a table of tasks in the place of one that has another check; its indexes go with the old one.
    private static func tasksAnew(_ name: String) -> [String] {
        let later = ", model TEXT, traceparent TEXT, tracestate TEXT"
        return [
            taskTable("\(name)_anew", states: statesCompared, later: later),
            "INSERT INTO \(name)_anew SELECT * FROM \(name)", "DROP TABLE \(name)",
            "ALTER TABLE \(name)_anew RENAME TO \(name)",
        ]
    }

    public static let migrations = [
        Migration(
            "0020_tasks",
            [
                taskTable("tasks"),
                taskTable("tasks_finished"),
                "CREATE INDEX tasks_ready ON tasks (lane, order_key, id) WHERE state = 'ready' AND hold_count = 0",
                "CREATE INDEX tasks_wake ON tasks (wake_at) WHERE wake_at IS NOT NULL",
                "CREATE INDEX tasks_queue ON tasks (queue, state)",
                "CREATE INDEX tasks_state ON tasks (state, id)",
                "CREATE INDEX tasks_project ON tasks (project, id)",
                "CREATE INDEX tasks_owner ON tasks (owner, state) WHERE owner IS NOT NULL",
                "CREATE UNIQUE INDEX tasks_unique ON tasks (project, unique_key) WHERE unique_key IS NOT NULL",
                """
                CREATE INDEX tasks_concurrency ON tasks (concurrency_key, state, order_key)
                WHERE concurrency_key IS NOT NULL
                """,
                "CREATE INDEX tasks_finished_queue ON tasks_finished (queue, finished_at)",
                "CREATE INDEX tasks_finished_project ON tasks_finished (project, id)",
                "CREATE INDEX tasks_finished_at ON tasks_finished (finished_at)",
                "CREATE INDEX tasks_finished_state ON tasks_finished (state, id)",
                "CREATE INDEX tasks_finished_owner ON tasks_finished (owner, id) WHERE owner IS NOT NULL",
                """
                CREATE TABLE task_holds (
                  task_id TEXT NOT NULL, hold TEXT NOT NULL, reason TEXT NOT NULL, actor TEXT NOT NULL,
                  at INTEGER NOT NULL, PRIMARY KEY (task_id, hold)) STRICT
                """,
                """
                CREATE TABLE task_dependencies (
                  task_id TEXT NOT NULL, depends_on TEXT NOT NULL, if_unmet TEXT NOT NULL, is_child INTEGER NOT NULL,
                  state TEXT NOT NULL CHECK (state IN ('pending', 'satisfied', 'unmet')),
                  PRIMARY KEY (task_id, depends_on)) STRICT
                """,
                "CREATE INDEX task_dependencies_parent ON task_dependencies (depends_on, state)",
                """
                CREATE TABLE task_attempts (
                  task_id TEXT NOT NULL, fence INTEGER NOT NULL, number INTEGER NOT NULL, agent TEXT NOT NULL,
                  key_id TEXT NOT NULL, state TEXT NOT NULL, claimed_at INTEGER NOT NULL, started_at INTEGER,
                  heartbeat_at INTEGER NOT NULL, ended_at INTEGER, failure_class TEXT, message TEXT,
                  usage TEXT NOT NULL, PRIMARY KEY (task_id, fence)) STRICT
                """,
                """
                CREATE TABLE lanes (
                  id TEXT NOT NULL PRIMARY KEY, queue TEXT NOT NULL, project TEXT NOT NULL, agent TEXT NOT NULL,
                  requires TEXT NOT NULL) STRICT
                """,
                "CREATE INDEX lanes_queue ON lanes (queue, agent)",
                """
                CREATE TABLE lane_shares (
                  queue TEXT NOT NULL, project TEXT NOT NULL, served INTEGER NOT NULL,
                  PRIMARY KEY (queue, project)) STRICT
                """,
            ]),
        Migration(
            "0021_deliverables",
            [
                """
                CREATE TABLE deliverables (
                  id TEXT NOT NULL PRIMARY KEY, task_id TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
                  content_type TEXT NOT NULL, size INTEGER NOT NULL CHECK (size >= 0), sha256 TEXT NOT NULL,
                  agent TEXT NOT NULL, key_id TEXT NOT NULL, fence INTEGER NOT NULL, round INTEGER NOT NULL,
                  is_approved INTEGER NOT NULL, created_at INTEGER NOT NULL, UNIQUE (task_id, name, revision)) STRICT
                """,
                """
                CREATE TABLE reviews (
                  task_id TEXT NOT NULL, number INTEGER NOT NULL, round INTEGER NOT NULL, verdict TEXT NOT NULL,
                  sha256 TEXT NOT NULL, comment TEXT NOT NULL, reviewer TEXT NOT NULL, key_id TEXT NOT NULL,
                  at INTEGER NOT NULL, PRIMARY KEY (task_id, number)) STRICT
                """,
            ]),
        Migration(
            "0022_deliverable_contents",
            [
                "CREATE INDEX deliverables_sha256 ON deliverables (sha256)",
                "CREATE TABLE deliverable_contents_left (sha256 TEXT NOT NULL PRIMARY KEY) STRICT",
            ]),
        // With the time at hand, how deep a queue is can be told from the index alone.
        Migration(
            "0023_tasks_queue_depth",
            ["DROP INDEX tasks_queue", "CREATE INDEX tasks_queue ON tasks (queue, state, enqueued_at)"]),
        // What every task goes through, ready, leased and done, is left out of the indexes by state: those are for
        // what stands apart, and each index that a task enters and leaves again costs its way through.
        Migration(
            "0024_tasks_apart",
            [
                "DROP INDEX tasks_state",
                "CREATE INDEX tasks_apart ON tasks (state, id) WHERE state NOT IN ('ready', 'claimed', 'running')",
                "DROP INDEX tasks_finished_state",
                "CREATE INDEX tasks_finished_apart ON tasks_finished (state, id) WHERE state <> 'done'",
                "DROP INDEX tasks_finished_queue",
                "CREATE INDEX tasks_finished_queue ON tasks_finished (queue, id)",
                """
                CREATE TABLE task_attempts_by_task (
                  task_id TEXT NOT NULL, fence INTEGER NOT NULL, number INTEGER NOT NULL, agent TEXT NOT NULL,
                  key_id TEXT NOT NULL, state TEXT NOT NULL, claimed_at INTEGER NOT NULL, started_at INTEGER,
                  heartbeat_at INTEGER NOT NULL, ended_at INTEGER, failure_class TEXT, message TEXT,
                  usage TEXT NOT NULL, PRIMARY KEY (task_id, fence)) STRICT, WITHOUT ROWID
                """,
                """
                INSERT INTO task_attempts_by_task (task_id, fence, number, agent, key_id, state, claimed_at, started_at,
                  heartbeat_at, ended_at, failure_class, message, usage)
                SELECT task_id, fence, number, agent, key_id, state, claimed_at, started_at, heartbeat_at, ended_at,
                  failure_class, message, usage FROM task_attempts
                """,
                "DROP TABLE task_attempts",
                "ALTER TABLE task_attempts_by_task RENAME TO task_attempts",
            ]),
        Migration(
            "0025_tasks_model",
            [
                "ALTER TABLE tasks ADD COLUMN model TEXT", "ALTER TABLE tasks_finished ADD COLUMN model TEXT",
                "ALTER TABLE lanes ADD COLUMN model TEXT NOT NULL DEFAULT ''",
            ]),
        // Found by a table of its own: an index on the tasks would be left and entered with each change of table.
        Migration(
            "0026_tasks_correlation",
            [
                "ALTER TABLE tasks ADD COLUMN traceparent TEXT",
                "ALTER TABLE tasks_finished ADD COLUMN traceparent TEXT",
                "ALTER TABLE tasks ADD COLUMN tracestate TEXT",
                "ALTER TABLE tasks_finished ADD COLUMN tracestate TEXT",
                "ALTER TABLE deliverables ADD COLUMN correlation_id TEXT",
                """
                CREATE TABLE task_correlations (
                  correlation_id TEXT NOT NULL, task_id TEXT NOT NULL, PRIMARY KEY (correlation_id, task_id)
                  ) STRICT, WITHOUT ROWID
                """,
                """
                INSERT INTO task_correlations (correlation_id, task_id)
                SELECT correlation_id, id FROM tasks WHERE correlation_id IS NOT NULL
                UNION SELECT correlation_id, id FROM tasks_finished WHERE correlation_id IS NOT NULL
                """,
            ]),
        // What became of an agent's tasks lately, and what failed lately, whoever it was of.
        Migration(
            "0109_tasks_ended_lately",
            [
                """
                CREATE INDEX tasks_finished_lately ON tasks_finished (owner, finished_at) WHERE owner IS NOT NULL
                """,
                """
                CREATE INDEX tasks_finished_spoilt ON tasks_finished (finished_at) WHERE state IN ('failed', 'skipped')
                """,
            ]),
        // Whom tasks for a model wait for is asked while an alert is taken in.
        Migration("0112_lanes_model", ["CREATE INDEX lanes_model ON lanes (model, agent) WHERE model <> ''"]),
        // What the agent ran with.
        Migration("0128_task_attempts_bundle", ["ALTER TABLE task_attempts ADD COLUMN bundle TEXT"]),
        // Which side of a roll-out it was on, and what the new version was given then.
        Migration(
            "0134_task_attempts_arm",
            [
                "ALTER TABLE task_attempts ADD COLUMN bundle_arm TEXT",
                "ALTER TABLE task_attempts ADD COLUMN bundle_share REAL",
            ]),
        // For a list of three and more, in a check or in an index's condition, SQLite fills a table of its own with
        // each statement that changes a row; a row of comparisons costs next to nothing.
        Migration(
            "0146_tasks_compared",
            tasksAnew("tasks") + tasksAnew("tasks_finished") + [
                "CREATE INDEX tasks_ready ON tasks (lane, order_key, id) WHERE state = 'ready' AND hold_count = 0",
                "CREATE INDEX tasks_wake ON tasks (wake_at) WHERE wake_at IS NOT NULL",
                "CREATE INDEX tasks_queue ON tasks (queue, state, enqueued_at)",
                """
                CREATE INDEX tasks_apart ON tasks (state, id)
                WHERE state <> 'ready' AND state <> 'claimed' AND state <> 'running'
                """,
                "CREATE INDEX tasks_project ON tasks (project, id)",
                "CREATE INDEX tasks_owner ON tasks (owner, state) WHERE owner IS NOT NULL",
                "CREATE UNIQUE INDEX tasks_unique ON tasks (project, unique_key) WHERE unique_key IS NOT NULL",
                """
                CREATE INDEX tasks_concurrency ON tasks (concurrency_key, state, order_key)
                WHERE concurrency_key IS NOT NULL
                """,
                "CREATE INDEX tasks_finished_queue ON tasks_finished (queue, id)",
                "CREATE INDEX tasks_finished_project ON tasks_finished (project, id)",
                "CREATE INDEX tasks_finished_at ON tasks_finished (finished_at)",
                "CREATE INDEX tasks_finished_apart ON tasks_finished (state, id) WHERE state <> 'done'",
                "CREATE INDEX tasks_finished_owner ON tasks_finished (owner, id) WHERE owner IS NOT NULL",
                """
                CREATE INDEX tasks_finished_lately ON tasks_finished (owner, finished_at) WHERE owner IS NOT NULL
                """,
                """
                CREATE INDEX tasks_finished_spoilt ON tasks_finished (finished_at) WHERE state IN ('failed', 'skipped')
                """,
            ]),
    ]
}
