import Kernel

/// The tables of what each replica was last told by its files.
public enum FileChangeSchema {
    public static let migrations = [
        Migration(
            "0111_file_changes",
            [
                """
                CREATE TABLE file_change_parts (
                  replica TEXT NOT NULL, part TEXT NOT NULL, things TEXT NOT NULL, changed_at INTEGER NOT NULL,
                  PRIMARY KEY (replica, part)) STRICT
                """,
                "CREATE INDEX file_change_parts_changed ON file_change_parts (part, changed_at)",
            ]),
        Migration(
            "0114_file_change_origins",
            [
                "ALTER TABLE file_change_parts ADD COLUMN origin TEXT NOT NULL DEFAULT ''",
                "ALTER TABLE file_change_parts ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0",
                "UPDATE file_change_parts SET seen_at = changed_at",
                // Their secrets were named without a key: each would count as another one now.
                "DELETE FROM file_change_parts WHERE part IN ('provider', 'receiver', 'oncall')",
                """
                CREATE TABLE file_change_key (
                  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1), key TEXT NOT NULL) STRICT
                """,
            ]),
    ]
}
