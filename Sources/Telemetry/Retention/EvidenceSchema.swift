/// The tables of `evidence.db`, which says what the archive's own files say, in another order: it may be deleted.
enum EvidenceSchema {
    static let statements = [
        """
        CREATE TABLE failed_traces (
          high INTEGER NOT NULL, low INTEGER NOT NULL, day INTEGER NOT NULL,
          PRIMARY KEY (high, low)) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX failed_traces_day ON failed_traces (day)",
        "CREATE TABLE failed_ids (id TEXT PRIMARY KEY, day INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE INDEX failed_ids_day ON failed_ids (day)",
        // The last block of each file of the archive that was looked at.
        "CREATE TABLE seen (part TEXT PRIMARY KEY, block INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        // By which holds a kept file was gone through last.
        "CREATE TABLE settled (part TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT, WITHOUT ROWID",
    ]
}
