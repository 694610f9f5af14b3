import Kernel

/// The table of what each replica was last told by its files.
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
            ])
    ]
}
