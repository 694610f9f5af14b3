import Kernel

/// The table of outages that have not ended, by the replica that sees them: what a new start goes on from.
public enum ModelOutageSchema {
    public static let migrations = [
        Migration(
            "0080_model_outages",
            [
                """
                CREATE TABLE model_outages (
                  replica TEXT NOT NULL, model TEXT NOT NULL, began_at INTEGER NOT NULL,
                  PRIMARY KEY (replica, model)) STRICT
                """
            ])
    ]
}
