import Kernel

/// The tables of bundles. Versions and changes are only ever added; the files' contents are blobs.
public enum BundleSchema {
    public static let migrations = [
        Migration(
            "0125_bundles",
            [
                """
                CREATE TABLE bundle_versions (
                  agent TEXT NOT NULL, version TEXT NOT NULL, number INTEGER NOT NULL, parent TEXT,
                  author TEXT NOT NULL, message TEXT NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL,
                  created_at INTEGER NOT NULL, PRIMARY KEY (agent, version)) STRICT
                """,
                "CREATE UNIQUE INDEX bundle_versions_number ON bundle_versions (agent, number)",
                // Named by content, so agents with the same files share them.
                """
                CREATE TABLE bundle_files (
                  version TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL,
                  PRIMARY KEY (version, path)) STRICT
                """,
                "CREATE INDEX bundle_files_sha256 ON bundle_files (sha256)",
                """
                CREATE TABLE bundle_changes (
                  agent TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('push', 'rollback')),
                  version TEXT NOT NULL, previous TEXT, actor TEXT NOT NULL, message TEXT NOT NULL, at INTEGER NOT NULL,
                  PRIMARY KEY (agent, number)) STRICT
                """,
            ])
    ]
}
