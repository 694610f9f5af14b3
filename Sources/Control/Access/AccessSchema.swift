import Kernel

/// The tables of keys, login links and browser sessions. Secrets stand there as SHA-256 only.
public enum AccessSchema {
    public static let migrations = [
        Migration(
            "0003_access",
            [
                """
                CREATE TABLE access_keys (
                  id TEXT NOT NULL PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE,
                  role TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'agent', 'viewer', 'ingest')),
                  name TEXT NOT NULL, agent TEXT, created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
                  last_used_at INTEGER, revoked_at INTEGER,
                  CHECK ((role = 'agent') = (agent IS NOT NULL))) STRICT
                """,
                """
                CREATE TABLE access_login_links (
                  sha256 TEXT NOT NULL PRIMARY KEY, key_id TEXT NOT NULL, expires_at INTEGER NOT NULL) STRICT
                """,
                """
                CREATE TABLE access_sessions (
                  sha256 TEXT NOT NULL PRIMARY KEY, key_id TEXT NOT NULL, created_at INTEGER NOT NULL,
                  expires_at INTEGER NOT NULL) STRICT
                """,
                "CREATE INDEX access_sessions_key ON access_sessions (key_id)",
            ]),
        // A key that another one took the place of, and how long it still lives.
        Migration(
            "0122_access_rotation",
            [
                "ALTER TABLE access_keys ADD COLUMN retires_at INTEGER",
                "ALTER TABLE access_keys ADD COLUMN retires_unused INTEGER",
                "ALTER TABLE access_keys ADD COLUMN replaced_by TEXT",
                """
                CREATE INDEX access_keys_retiring ON access_keys (retires_at)
                WHERE retires_at IS NOT NULL AND revoked_at IS NULL
                """,
            ]),
    ]
}
