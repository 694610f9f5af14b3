import Kernel

/// The tables of secrets. Values stand there sealed, and only there.
public enum SecretSchema {
    public static let migrations = [
        Migration(
            "0120_secrets",
            [
                """
                CREATE TABLE secrets (
                  path TEXT NOT NULL PRIMARY KEY,
                  scope TEXT NOT NULL CHECK (scope IN ('user', 'org', 'project', 'platform')), owner TEXT,
                  version INTEGER NOT NULL CHECK (version >= 0), versions_max INTEGER NOT NULL,
                  is_cas_required INTEGER NOT NULL CHECK (is_cas_required IN (0, 1)), custom TEXT NOT NULL,
                  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, written_at INTEGER,
                  CHECK ((owner IS NOT NULL) = (scope IN ('user', 'project')))) STRICT
                """,
                """
                CREATE TABLE secret_versions (
                  path TEXT NOT NULL, version INTEGER NOT NULL CHECK (version > 0), sealed BLOB,
                  master_version INTEGER NOT NULL, created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
                  deleted_at INTEGER, is_destroyed INTEGER NOT NULL CHECK (is_destroyed IN (0, 1)),
                  PRIMARY KEY (path, version), CHECK ((sealed IS NULL) = (is_destroyed = 1))) STRICT
                """,
                "CREATE INDEX secret_versions_created ON secret_versions (created_at)",
                "CREATE INDEX secret_versions_master ON secret_versions (master_version)",
                """
                CREATE TABLE secret_grants (
                  path TEXT NOT NULL, agent TEXT NOT NULL, granted_at INTEGER NOT NULL, granted_by TEXT NOT NULL,
                  PRIMARY KEY (path, agent)) STRICT
                """,
                "CREATE INDEX secret_grants_agent ON secret_grants (agent)",
                """
                CREATE TABLE secret_uses (
                  path TEXT NOT NULL, actor TEXT NOT NULL, agent TEXT, version INTEGER NOT NULL,
                  used_at INTEGER NOT NULL, PRIMARY KEY (path, actor)) STRICT
                """,
                """
                CREATE TABLE secret_master_keys (
                  version INTEGER NOT NULL PRIMARY KEY, fingerprint TEXT NOT NULL, seen_at INTEGER NOT NULL) STRICT
                """,
            ]),
        Migration(
            "0121_secret_rotations",
            [
                "ALTER TABLE secrets ADD COLUMN last_version INTEGER NOT NULL DEFAULT 0",
                "UPDATE secrets SET last_version = version",
                "ALTER TABLE secrets ADD COLUMN rotate_every INTEGER",
                "ALTER TABLE secrets ADD COLUMN probe TEXT",
                """
                CREATE TABLE secret_rotations (
                  path TEXT NOT NULL, new_version INTEGER NOT NULL, old_version INTEGER NOT NULL,
                  state TEXT NOT NULL
                    CHECK (state IN ('staged', 'verified', 'overlap', 'draining', 'retired', 'returned')),
                  overlap INTEGER NOT NULL, staged_at INTEGER NOT NULL, staged_by TEXT NOT NULL, proof TEXT,
                  proof_detail TEXT, issued_at INTEGER, ended_at INTEGER,
                  is_compromise INTEGER NOT NULL CHECK (is_compromise IN (0, 1)),
                  PRIMARY KEY (path, new_version), CHECK (old_version < new_version),
                  CHECK ((ended_at IS NOT NULL) = (state IN ('retired', 'returned')))) STRICT
                """,
                "CREATE UNIQUE INDEX secret_rotations_open ON secret_rotations (path) WHERE ended_at IS NULL",
                """
                CREATE TABLE secret_version_uses (
                  path TEXT NOT NULL, version INTEGER NOT NULL, actor TEXT NOT NULL, agent TEXT,
                  first_at INTEGER NOT NULL, used_at INTEGER NOT NULL, PRIMARY KEY (path, version, actor)) STRICT
                """,
                """
                INSERT INTO secret_version_uses (path, version, actor, agent, first_at, used_at)
                SELECT path, version, actor, agent, used_at, used_at FROM secret_uses
                """,
            ]),
        Migration(
            "0123_secret_leases",
            [
                """
                CREATE TABLE secret_leases (
                  id TEXT NOT NULL PRIMARY KEY, path TEXT NOT NULL, version INTEGER NOT NULL, actor TEXT NOT NULL,
                  agent TEXT, granted_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, revoked_at INTEGER) STRICT
                """,
                "CREATE INDEX secret_leases_path ON secret_leases (path, expires_at)",
                "CREATE INDEX secret_leases_expires ON secret_leases (expires_at)",
            ]),
        Migration(
            "0144_secret_sessions",
            [
                """
                CREATE TABLE secret_sessions (
                  replica TEXT NOT NULL, agent TEXT NOT NULL, started_at INTEGER NOT NULL, heard_at INTEGER NOT NULL,
                  PRIMARY KEY (replica, agent)) STRICT
                """,
                "CREATE INDEX secret_sessions_agent ON secret_sessions (agent)",
                "CREATE INDEX secret_sessions_heard ON secret_sessions (heard_at)",
            ]),
        Migration(
            "0145_secret_lease_renewals", ["ALTER TABLE secret_leases ADD COLUMN renewed_at INTEGER"]),
    ]
}
