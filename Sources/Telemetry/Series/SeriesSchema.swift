/// The tables of a day's file of series.
enum SeriesSchema {
    static let statements = [
        "CREATE TABLE series (id INTEGER PRIMARY KEY, metric TEXT NOT NULL, labels BLOB NOT NULL UNIQUE) STRICT",
        "CREATE INDEX series_metric ON series (metric)",
        // A chunk is written again as it grows, so its row is known by its first sample.
        """
        CREATE TABLE chunks (
          series INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, samples INTEGER NOT NULL,
          data BLOB NOT NULL, PRIMARY KEY (series, first_at)) STRICT, WITHOUT ROWID
        """,
    ]
}
