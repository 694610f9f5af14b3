import Kernel

/// The table of the audit log.
public enum AuditSchema {
    public static let migrations = [
        Migration(
            "0004_audit",
            [
                """
                CREATE TABLE audit (
                  number INTEGER NOT NULL PRIMARY KEY, at INTEGER NOT NULL, action TEXT NOT NULL, actor TEXT NOT NULL,
                  key_id TEXT NOT NULL, target TEXT NOT NULL, detail TEXT NOT NULL, previous TEXT NOT NULL,
                  hash TEXT NOT NULL, CHECK (number > 0)) STRICT
                """
            ])
    ]
}
