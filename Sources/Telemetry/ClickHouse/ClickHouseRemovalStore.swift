import Kernel

/// Deletes rows for good, by ClickHouse's mutations: they rewrite the parts that have such rows, while a lightweight
/// `DELETE` leaves the bytes where they are.
///
/// A mutation is done some time after it was asked for, also over ClickHouse's starts, and has no values beside it. So
/// what it deletes stands in a table until it is done.
struct ClickHouseRemovalStore: Sendable {
    /// So long may a mutation do nothing before it is taken for stuck.
    static let stuckMax = Duration.seconds(600)
    private static let pollInterval = Span.milliseconds(200)
    private static let batchBytes = 12

    private let connection: ClickHouseConnection
    private let world: World
    /// Tells this Reeve's rows there from others'; hexadecimal, as all that stands in a statement of ours.
    private let node: String

    init(connection: ClickHouseConnection, node: String, world: World) {
        (self.connection, self.world) = (connection, world)
        self.node = String(Digest.sha256(node).prefix(24))
    }

    /// Rows of one table that go together.
    struct Batch: Sendable {
        fileprivate let name: String
    }

    func batch() -> Batch { Batch(name: Hexadecimal.encode(world.entropy.bytes(Self.batchBytes))) }

    /// Writes down what is to go.
    func add(_ keys: [String], to batch: Batch) async throws {
        guard !keys.isEmpty else { return }
        var rows = ColumnWriter()
        for key in keys { for text in [node, batch.name, key] { rows.append(text) } }
        try await connection.insert("INSERT INTO reeve_removing (node, batch, key) FORMAT RowBinary", rows: rows.bytes)
    }

    /// Writes down all of a partition that is not as said.
    func add(
        of part: ClickHousePart, _ kind: ArchivePart.Kind, unless condition: ClickHouseQuery, to batch: Batch
    ) async throws {
        _ = try await connection.ask(
            """
            INSERT INTO reeve_removing (node, batch, key)
            SELECT \(node), \(batch.name), \(schema: ClickHouseSchema.key(kind))
            FROM \(schema: ClickHouseSchema.table(kind)) WHERE \(ClickHouseSchema.isIn(part)) AND NOT \(condition)
            """, longest: ClickHousePartStore.wholeMax)
    }

    /// Deletes a partition's rows whose value is in a batch.
    ///
    /// - Parameters:
    ///   - value: What is compared; see ``ClickHouseSchema/key(_:)``.
    ///   - isWanted: Asked while ClickHouse works; `false` ends the wait, and ClickHouse goes on by itself.
    /// - Returns: Whether they are gone.
    func remove(
        _ batch: Batch, from table: String, of part: ClickHousePart, by value: String,
        while isWanted: () -> Bool = { true }
    ) async throws -> Bool {
        try await connection.run(
            statement: ClickHouseSchema.remove(
                from: table, part, by: value, node: node, batch: batch.name, database: connection.address.database))
        return try await wait(for: batch.name, while: isWanted)
    }

    /// Waits for what an earlier process, or wait, left, and clears up behind it.
    ///
    /// - Returns: Whether all is done.
    func settle(while isWanted: () -> Bool = { true }) async throws -> Bool {
        guard try await wait(for: node, while: isWanted) else { return false }
        try await connection.run(statement: ClickHouseSchema.clearRemoving(node: node))
        return true
    }

    /// Waits until no mutation that has a word is left.
    private func wait(for word: String, while isWanted: () -> Bool) async throws -> Bool {
        var (left, since) = (Int64.max, ContinuousClock.now)
        while true {
            let rows = try await connection.ask(
                """
                SELECT count(), sum(parts_to_do) FROM system.mutations
                WHERE database = \(connection.address.database) AND is_done = 0 AND position(command, \(word)) > 0
                FORMAT RowBinary
                """, longest: ClickHouseConnection.questionMax)
            let found = try ColumnReader.rows(rows) { (count: try $0.int(), parts: try $0.int()) }.first
            guard let found, found.count > 0 else { return true }
            guard isWanted() else { return false }
            if found.parts != left { (left, since) = (found.parts, ContinuousClock.now) }
            guard ContinuousClock.now - since < Self.stuckMax else {
                throw Problem(
                    .storageUnavailable, "ClickHouse does not get on with deleting rows.",
                    hint: "SELECT * FROM system.mutations WHERE is_done = 0 tells of it; it goes on by itself."
                )
            }
            try await world.time.sleep(for: Self.pollInterval)
        }
    }
}
