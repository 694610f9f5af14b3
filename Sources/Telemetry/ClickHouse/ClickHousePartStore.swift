import Kernel

/// The partitions of the tables.
struct ClickHousePartStore: Sendable {
    /// Partitions that are told of at a time; the rest is told of once those are gone.
    private static let partsRead = 10_000
    /// So long may ClickHouse take to read all of a partition.
    static let wholeMax = Duration.seconds(600)

    let connection: ClickHouseConnection

    /// The partitions of a table, with their bytes on ClickHouse's disk.
    func parts(of table: String) async throws -> [ClickHousePart: Int] {
        let rows = try await connection.ask(
            """
            SELECT partition, sum(bytes_on_disk) FROM system.parts
            WHERE database = \(connection.address.database) AND table = \(table) AND active
            GROUP BY partition LIMIT \(count: Self.partsRead) FORMAT RowBinary
            """, longest: ClickHouseConnection.questionMax)
        var parts: [ClickHousePart: Int] = [:]
        _ = try ColumnReader.rows(rows) { row in
            let (name, bytes) = (try row.text(), try row.whole())
            if let part = ClickHousePart(partition: name) { parts[part] = Int(clamping: bytes) }
        }
        return parts
    }

    func drop(_ part: ClickHousePart, of table: String) async throws {
        try await connection.run(statement: ClickHouseSchema.drop(table, part))
    }

    /// SHA-256 over what a partition's rows are, in lower-case hexadecimal: over their count and the sums of the four
    /// words of each row's own SHA-256, as rows have no order on the disk and are put together anew at any time.
    func digest(of part: ClickHousePart, _ kind: ArchivePart.Kind) async throws -> String {
        let words = (0..<4).map { "sum(reinterpretAsUInt64(substring(hash, \(8 * $0 + 1), 8)))" }
        let rows = try await connection.ask(
            """
            SELECT count(), \(schema: words.joined(separator: ", ")) FROM (
              SELECT toString(SHA256(\(schema: ClickHouseSchema.content(kind)))) AS hash
              FROM \(schema: ClickHouseSchema.table(kind)) FINAL WHERE \(ClickHouseSchema.isIn(part)))
            FORMAT RowBinary
            """, longest: Self.wholeMax)
        let sums = try ColumnReader.rows(rows) { row in try (0..<5).map { _ in try row.whole() } }
        return Digest.sha256((sums.first ?? []).map(String.init).joined(separator: " "))
    }
}
