/// The table of replies that may be asked for again.
public enum IdempotencySchema {
    public static let migrations = [
        Migration(
            "0001_idempotency",
            [
                """
                CREATE TABLE idempotency_keys (
                  key_id TEXT NOT NULL, route TEXT NOT NULL, idempotency_key TEXT NOT NULL, body_sha256 TEXT NOT NULL,
                  status INTEGER NOT NULL, content_type TEXT, body BLOB NOT NULL, expires_at INTEGER NOT NULL,
                  PRIMARY KEY (key_id, route, idempotency_key)) STRICT
                """,
                "CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at)",
            ])
    ]
}
