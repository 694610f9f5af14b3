import Kernel

/// The tables that find records by texts of theirs.
struct ClickHouseIndexStore: Sendable {
    /// One column of such a table.
    struct Index {
        let table: String
        let column: String
        /// Where the same stands in the records; `nil` where that does not matter.
        var records: String?
        var isLower = false
        /// Whether it is the name of something, which is the subject's only where that may stand anywhere.
        var isOfName = false
    }

    private static let textsRead = 100_000

    let connection: ClickHouseConnection

    /// The texts of a partition that may be a subject's.
    func texts(_ index: Index, of part: ClickHousePart, having subject: SubjectMatch) async throws -> [String] {
        let rows = try await connection.ask(
            """
            SELECT DISTINCT \(schema: index.column) AS text FROM \(schema: index.table)
            WHERE \(ClickHouseSchema.isIn(part)) AND position(text, \(subject.text)) > 0
            LIMIT \(count: Self.textsRead) FORMAT RowBinary
            """, longest: ClickHousePartStore.wholeMax)
        return try ColumnReader.rows(rows) { try $0.text() }
    }

    /// Those of some texts by which records of a partition are still to be found.
    func left(
        of texts: [String], as records: String, in part: ClickHousePart, _ kind: ArchivePart.Kind
    ) async throws -> Set<String> {
        let rows = try await connection.ask(
            """
            SELECT DISTINCT text FROM \(schema: ClickHouseSchema.table(kind))
            ARRAY JOIN \(schema: records) AS text
            WHERE \(ClickHouseSchema.isIn(part)) AND text IN \(list: texts) FORMAT RowBinary
            """, longest: ClickHousePartStore.wholeMax)
        return Set(try ColumnReader.rows(rows) { try $0.text() })
    }
}

/// All that works on the tables as a whole.
struct ClickHouseStores: Sendable {
    let parts: ClickHousePartStore
    let records: ClickHouseRecordStore
    let keeping: ClickHouseKeepingStore
    let index: ClickHouseIndexStore
    let removal: ClickHouseRemovalStore

    init(_ connection: ClickHouseConnection, node: String, world: World) {
        parts = ClickHousePartStore(connection: connection)
        records = ClickHouseRecordStore(connection: connection)
        keeping = ClickHouseKeepingStore(connection: connection)
        index = ClickHouseIndexStore(connection: connection)
        removal = ClickHouseRemovalStore(connection: connection, node: node, world: world)
    }
}
