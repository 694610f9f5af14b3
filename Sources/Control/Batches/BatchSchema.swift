import Kernel

/// The tables of batches, their requests and their files.
public enum BatchSchema {
    public static let migrations = [
        Migration(
            "0070_batches",
            [
                """
                CREATE TABLE batch_files (
                  id TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL,
                  purpose TEXT NOT NULL
                    CHECK (purpose IN ('batch', 'batch_output', 'message_batch', 'message_results')),
                  name TEXT NOT NULL, size INTEGER NOT NULL CHECK (size >= 0), sha256 TEXT NOT NULL,
                  created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT
                """,
                "CREATE INDEX batch_files_owner ON batch_files (owner, id)",
                "CREATE INDEX batch_files_expiry ON batch_files (expires_at)",
                "CREATE INDEX batch_files_sha256 ON batch_files (sha256)",
                "CREATE TABLE batch_contents_left (sha256 TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID",
                """
                CREATE TABLE batches (
                  id TEXT NOT NULL PRIMARY KEY, dialect TEXT NOT NULL CHECK (dialect IN ('openai', 'anthropic')),
                  owner TEXT NOT NULL, agent TEXT, key_id TEXT NOT NULL, key_name TEXT NOT NULL,
                  key_role TEXT NOT NULL, endpoint TEXT NOT NULL, input_file TEXT NOT NULL, headers TEXT NOT NULL,
                  metadata TEXT NOT NULL, output_span INTEGER NOT NULL, correlation_id TEXT NOT NULL,
                  state TEXT NOT NULL CHECK (state IN ('validating', 'in_progress', 'finalizing', 'cancelling',
                    'completed', 'failed', 'expired', 'cancelled')),
                  model TEXT, flaws TEXT NOT NULL, total INTEGER NOT NULL, succeeded INTEGER NOT NULL,
                  errored INTEGER NOT NULL, canceled INTEGER NOT NULL, expired INTEGER NOT NULL,
                  result_bytes INTEGER NOT NULL, output_file TEXT, error_file TEXT, created_at INTEGER NOT NULL,
                  expires_at INTEGER NOT NULL, in_progress_at INTEGER, finalizing_at INTEGER, cancelling_at INTEGER,
                  ended_at INTEGER, runner TEXT, runner_until INTEGER NOT NULL,
                  has_lines INTEGER NOT NULL CHECK (has_lines IN (0, 1))) STRICT
                """,
                "CREATE INDEX batches_owner ON batches (owner, dialect, id)",
                "CREATE INDEX batches_open ON batches (id) WHERE ended_at IS NULL",
                "CREATE INDEX batches_ended ON batches (ended_at) WHERE ended_at IS NOT NULL",
                "CREATE INDEX batches_left ON batches (id) WHERE ended_at IS NOT NULL AND has_lines = 1",
                """
                CREATE TABLE batch_lines (
                  batch_id TEXT NOT NULL, number INTEGER NOT NULL, custom_id TEXT,
                  state TEXT NOT NULL CHECK (state IN ('waiting', 'succeeded', 'errored', 'canceled', 'expired')),
                  tries INTEGER NOT NULL, body BLOB, result BLOB, flaw TEXT, PRIMARY KEY (batch_id, number)) STRICT
                """,
                """
                CREATE INDEX batch_lines_waiting ON batch_lines (batch_id, tries, number) WHERE state = 'waiting'
                """,
            ])
    ]
}
