import Kernel

/// The table of what each replica was last told by its files.
public enum ConfigurationSchema {
    public static let migrations = [
        Migration(
            "0111_configuration",
            [
                """
                CREATE TABLE configuration_parts (
                  replica TEXT NOT NULL, part TEXT NOT NULL, things TEXT NOT NULL, changed_at INTEGER NOT NULL,
                  PRIMARY KEY (replica, part)) STRICT
                """,
                "CREATE INDEX configuration_parts_changed ON configuration_parts (part, changed_at)",
            ])
    ]
}
