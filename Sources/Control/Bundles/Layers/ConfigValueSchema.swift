import Kernel

/// The table of what operators set for agents and for users, above the bundles.
public enum ConfigValueSchema {
    public static let migrations = [
        Migration(
            "0126_config_values",
            [
                """
                CREATE TABLE config_values (
                  agent TEXT NOT NULL, layer TEXT NOT NULL CHECK (layer IN ('environment', 'user')),
                  subject TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, version INTEGER NOT NULL,
                  author TEXT NOT NULL, set_at INTEGER NOT NULL, PRIMARY KEY (agent, layer, subject, name)) STRICT
                """
            ])
    ]
}
