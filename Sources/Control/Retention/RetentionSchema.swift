import Kernel

/// The tables of what is said about records: labels of traces, holds, and erasures.
public enum RetentionSchema {
    public static let migrations = [
        Migration(
            "0085_retention",
            [
                """
                CREATE TABLE trace_labels (
                  trace_id TEXT NOT NULL, label TEXT NOT NULL, correlation_id TEXT, created_at INTEGER NOT NULL,
                  created_by TEXT NOT NULL, PRIMARY KEY (trace_id, label)) STRICT
                """,
                "CREATE INDEX trace_labels_label ON trace_labels (label, created_at)",
                """
                CREATE TABLE telemetry_holds (
                  id TEXT NOT NULL PRIMARY KEY,
                  kind TEXT NOT NULL CHECK (kind IN ('correlationId', 'traceId', 'agent', 'subject', 'times')),
                  target TEXT NOT NULL, since_at INTEGER, until_at INTEGER, reason TEXT NOT NULL,
                  created_at INTEGER NOT NULL, created_by TEXT NOT NULL, lifted_at INTEGER, lifted_by TEXT,
                  CHECK ((kind = 'times') = (since_at IS NOT NULL AND until_at IS NOT NULL)),
                  CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))) STRICT
                """,
                """
                CREATE TABLE telemetry_erasures (
                  id TEXT NOT NULL PRIMARY KEY, replica TEXT NOT NULL, digest TEXT NOT NULL, reason TEXT,
                  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'partial', 'failed', 'interrupted')),
                  is_dry_run INTEGER NOT NULL CHECK (is_dry_run IN (0, 1)),
                  is_anywhere INTEGER NOT NULL CHECK (is_anywhere IN (0, 1)), report TEXT NOT NULL,
                  created_at INTEGER NOT NULL, created_by TEXT NOT NULL, ended_at INTEGER) STRICT
                """,
            ])
    ]
}
