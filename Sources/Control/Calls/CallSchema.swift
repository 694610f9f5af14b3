import Kernel

/// The tables of model calls, and of the sums over them that outlive them.
public enum CallSchema {
    public static let migrations = [
        Migration(
            "0050_calls",
            [
                """
                CREATE TABLE calls (
                  id TEXT NOT NULL PRIMARY KEY,
                  status TEXT NOT NULL CHECK (status IN ('done', 'failed', 'canceled')), started_at INTEGER NOT NULL,
                  agent TEXT, project TEXT, task_id TEXT, session TEXT, run TEXT, key_id TEXT, tags TEXT NOT NULL,
                  correlation_id TEXT, door TEXT NOT NULL, model TEXT NOT NULL, tier TEXT,
                  stream INTEGER NOT NULL CHECK (stream IN (0, 1)), target TEXT, answered_model TEXT,
                  attempts TEXT NOT NULL, usage_raw TEXT, buckets TEXT NOT NULL,
                  estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
                  nano_usd INTEGER CHECK (nano_usd >= 0), price_from TEXT,
                  booked_nano_usd INTEGER CHECK (booked_nano_usd >= 0), booked_price_from TEXT, repriced_at INTEGER,
                  saved_nano_usd INTEGER NOT NULL CHECK (saved_nano_usd >= 0), holds TEXT NOT NULL, refusal TEXT,
                  failure TEXT, http_status INTEGER, cache TEXT, duration_ms INTEGER, ttft_ms INTEGER,
                  overhead_us INTEGER, request_bytes INTEGER NOT NULL, response_bytes INTEGER NOT NULL, bundle TEXT,
                  decision TEXT NOT NULL) STRICT
                """,
                // Ids sort by time, so an index that ends in the id gives any filter's list in its order.
                "CREATE INDEX calls_agent ON calls (agent, id) WHERE agent IS NOT NULL",
                "CREATE INDEX calls_project ON calls (project, id) WHERE project IS NOT NULL",
                "CREATE INDEX calls_model ON calls (model, id)",
                "CREATE INDEX calls_task ON calls (task_id, id) WHERE task_id IS NOT NULL",
                "CREATE INDEX calls_session ON calls (session, id) WHERE session IS NOT NULL",
                // Nearly every call is done: those that are not stand apart.
                "CREATE INDEX calls_apart ON calls (id, status) WHERE status <> 'done'",
                """
                CREATE TABLE call_tags (
                  tag TEXT NOT NULL, call_id TEXT NOT NULL, PRIMARY KEY (tag, call_id)) STRICT, WITHOUT ROWID
                """,
                "CREATE INDEX call_tags_call ON call_tags (call_id)",
                """
                CREATE TABLE cost_sums (
                  kind TEXT NOT NULL CHECK (kind IN ('model', 'task', 'tag')), day INTEGER NOT NULL,
                  agent TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL, calls INTEGER NOT NULL,
                  done INTEGER NOT NULL, failed INTEGER NOT NULL, canceled INTEGER NOT NULL, refused INTEGER NOT NULL,
                  input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
                  output INTEGER NOT NULL, reasoning INTEGER NOT NULL, nano_usd INTEGER NOT NULL,
                  unpriced INTEGER NOT NULL, estimated INTEGER NOT NULL, retry_nano_usd INTEGER NOT NULL,
                  aborted_nano_usd INTEGER NOT NULL, saved_nano_usd INTEGER NOT NULL,
                  PRIMARY KEY (kind, day, agent, project, name)) STRICT, WITHOUT ROWID
                """,
                "CREATE INDEX cost_sums_name ON cost_sums (kind, name, day) WHERE kind <> 'model'",
            ]),
        Migration(
            "0051_calls_correlation",
            [
                "ALTER TABLE calls ADD COLUMN trace_id TEXT", "ALTER TABLE calls ADD COLUMN span_id TEXT",
                "CREATE INDEX calls_correlation ON calls (correlation_id, id) WHERE correlation_id IS NOT NULL",
            ]),
        // Who called lately, by what calls name: whom something reaches is asked while an alert is taken in. Begun with
        // the newest calls, as there may be very many.
        Migration(
            "0112_callers",
            [
                """
                CREATE TABLE callers (
                  kind TEXT NOT NULL CHECK (kind IN ('model', 'project', 'key', 'tag')), name TEXT NOT NULL,
                  agent TEXT NOT NULL, last_at INTEGER NOT NULL, PRIMARY KEY (kind, name, agent)
                  ) STRICT, WITHOUT ROWID
                """,
                "CREATE INDEX callers_last ON callers (last_at)",
                """
                INSERT INTO callers (kind, name, agent, last_at)
                WITH latest AS (
                  SELECT id, agent, model, project, key_id,
                    (started_at + COALESCE(duration_ms, 0) * 1000) / 60000000 * 60000000 AS minute
                  FROM calls ORDER BY id DESC LIMIT 20000)
                SELECT kind, name, agent, MAX(minute) FROM (
                  SELECT 'model' AS kind, model AS name, agent, minute FROM latest
                  UNION ALL SELECT 'project', project, agent, minute FROM latest
                  UNION ALL SELECT 'key', key_id, agent, minute FROM latest
                  UNION ALL SELECT 'tag', call_tags.tag, latest.agent, latest.minute
                  FROM latest JOIN call_tags ON call_tags.call_id = latest.id) AS told
                WHERE agent IS NOT NULL AND name IS NOT NULL
                GROUP BY kind, name, agent
                """,
            ]),
    ]
}
