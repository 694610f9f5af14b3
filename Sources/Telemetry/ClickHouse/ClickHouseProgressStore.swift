import Kernel

/// How far the spool of a Reeve is in ClickHouse, as the rows themselves say.
struct ClickHouseProgressStore: Sendable {
    let connection: ClickHouseConnection

    /// The last entry in each partition that the spool is put into.
    ///
    /// - Parameters:
    ///   - node: Whose spool; see ``ClickHouseNode``.
    ///   - day: The first day on which what is asked for arrived.
    ///   - entry: The first entry that is asked for.
    func reached(
        _ signal: TelemetrySignal, of node: String, since day: Int, from entry: Int64
    ) async throws(ClickHouseFault) -> [(part: ClickHousePart, entry: Int64)] {
        let table: ClickHouseQuery = signal == .logs ? "reeve_logs" : "reeve_spans"
        let date = ClickHousePart(category: .system, day: day).date
        let rows = try await connection.ask(
            """
            SELECT day, category, max(entry) FROM \(table)
            WHERE day >= toDate(\(date)) AND node = \(node) AND entry >= \(entry)
              AND category IN \(list: TelemetryCategory.allCases.map(\.rawValue))
            GROUP BY day, category FORMAT RowBinary
            """, longest: ClickHouseConnection.questionMax)
        return try ColumnReader.rows(rows) { row in
            let day = try row.day()
            let category = TelemetryCategory(rawValue: try row.text()) ?? .system
            return (ClickHousePart(category: category, day: day), try row.int())
        }
    }
}
