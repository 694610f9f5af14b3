/// The tables of each file of the archive.
enum ArchiveSchema {
    static let statements = [
        """
        CREATE TABLE blocks (
          id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, records INTEGER NOT NULL, received_bytes INTEGER NOT NULL,
          first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, head BLOB NOT NULL) STRICT
        """,
        "CREATE INDEX blocks_time ON blocks (kind, last_at)",
        "CREATE INDEX blocks_start ON blocks (kind, first_at)",
        // Apart, so that heads can be read one after the other.
        "CREATE TABLE bodies (block INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
        """
        CREATE TABLE block_keys (
          key INTEGER NOT NULL, block INTEGER NOT NULL, PRIMARY KEY (key, block)) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE sieves (block INTEGER PRIMARY KEY, sieve BLOB NOT NULL) STRICT",
        """
        CREATE TABLE labels (
          name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, value)) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), entry INTEGER NOT NULL) STRICT",
        "INSERT INTO progress (id, entry) VALUES (1, 0)",
    ]

    /// What came to it since, version by version.
    static let later = [
        [
            // What bodies share, each of it once: packs of pieces with the numbers from the first to the last.
            "CREATE TABLE packs (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, data BLOB NOT NULL) STRICT",
            // The number of a piece by the two halves of its name.
            """
            CREATE TABLE pieces (
              high INTEGER NOT NULL, low INTEGER NOT NULL, piece INTEGER NOT NULL,
              PRIMARY KEY (high, low)) STRICT, WITHOUT ROWID
            """,
            // Which pieces the bodies of a block lack; none for a block whose bodies are whole.
            "CREATE TABLE cuts (block INTEGER PRIMARY KEY, cuts BLOB NOT NULL) STRICT",
        ]
    ]
}
