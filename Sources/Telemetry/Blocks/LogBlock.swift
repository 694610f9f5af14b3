/// Some thousands of log records as they are kept: what many of them share as columns, and their texts, both packed.
///
/// Two parts, as most of who looks needs the texts of few rows; and a ``TextSieve``, which says what they cannot have.
struct LogBlock {
    let head: [UInt8]
    let body: [UInt8]
    let sieve: [UInt8]
    let count: Int
    /// Bytes of the rows that it was made of.
    let receivedBytes: Int
    /// The first time and the last, nanoseconds since 1970.
    let times: ClosedRange<Int64>
    /// The ids that its rows are found by.
    let traces: Set<String>
    let correlations: Set<String>
    /// The labels that its rows are told apart by, with their values.
    let labels: Set<LogLabel>
}

/// Gathers rows for a block.
struct LogBlockBuilder {
    private(set) var count = 0
    /// Bytes of texts so far.
    var bytes: Int { messages.bytes.count + attributes.bytes.count + table.bytes.count }

    private var table = TextTable()
    private var sieve = TextSieve()
    private var times: [Int64] = []
    private var shared = [[Int32]](repeating: [], count: LogRow.shared.count)
    private var messages = Texts()
    private var attributes = Texts()
    private var rest = ColumnWriter()
    private var receivedBytes = 0

    /// - Parameter row: See ``LogRow``.
    /// - Throws: ``ProtobufReader/Malformed`` for bytes that are no row; nothing of it is added.
    mutating func add(_ row: UnsafeRawBufferPointer) throws(ProtobufReader.Malformed) {
        add(try LogRow.Fields(row), bytes: row.count)
    }

    mutating func add(_ fields: LogRow.Fields, bytes: Int) {
        times.append(fields.time)
        for (column, field) in LogRow.shared.enumerated() {
            let known = table.count
            let number = fields[field].map { table.number(of: $0) } ?? 0
            shared[column].append(Int32(number))
            if number > known, let text = fields[field] { sieve.insert(text) }
        }
        messages.append(fields[LogRow.Field.message], &sieve)
        attributes.append(fields[LogRow.Field.attributes], &sieve)
        rest.append(fields[LogRow.Field.span] ?? UnsafeRawBufferPointer(start: nil, count: 0))
        let given: UInt64 = (fields.turn == nil ? 0 : 1) | (fields.duration == nil ? 0 : 2)
        rest.append(given)
        if let turn = fields.turn { rest.append(signed: turn) }
        if let duration = fields.duration { rest.append(whole: duration.bitPattern) }
        receivedBytes += bytes
        count += 1
    }

    /// Adds all rows of a block.
    mutating func add(_ block: KeptBlock) throws {
        let heads = try LogHeads(block.head)
        var bytes = block.receivedBytes
        try heads.each(try LogBodies(block.body, rows: heads.count)) { fields in
            add(fields, bytes: bytes)
            bytes = 0
        }
    }

    /// A column of texts that differ.
    private struct Texts {
        private(set) var bytes: [UInt8] = []
        private(set) var lengths: [Int] = []

        mutating func append(_ text: UnsafeRawBufferPointer?, _ sieve: inout TextSieve) {
            lengths.append(text?.count ?? 0)
            guard let text else { return }
            bytes.append(contentsOf: text)
            sieve.insert(text)
        }
    }

    /// The block of all that was added; `nil` where nothing was.
    func finish() -> LogBlock? {
        guard let first = times.min(), let last = times.max() else { return nil }
        var head = ColumnWriter()
        head.append(count)
        table.write(to: &head)
        var before: Int64 = 0
        for time in times {
            head.append(signed: time &- before)
            before = time
        }
        for column in shared { for number in column { head.append(Int(number)) } }
        var body = ColumnWriter()
        for column in [messages, attributes] {
            for length in column.lengths { body.append(length) }
            body.append(raw: column.bytes)
        }
        body.append(raw: rest.bytes)
        func texts(_ field: Int) -> Set<String> {
            guard let column = LogRow.shared.firstIndex(of: field) else { return [] }
            return Set(Set(shared[column]).subtracting([0]).map { table.text(Int($0)) })
        }
        return LogBlock(
            head: Zstandard.pack(head.bytes), body: Zstandard.pack(body.bytes), sieve: sieve.packed, count: count,
            receivedBytes: receivedBytes, times: first...last, traces: texts(LogRow.Field.trace),
            correlations: texts(LogRow.Field.correlation),
            labels: labels(texts))
    }
}

extension LogBlockBuilder {
    /// Those of streams, and fields that serve as labels.
    private func labels(_ texts: (Int) -> Set<String>) -> Set<LogLabel> {
        let streams = texts(LogRow.Field.labels).flatMap { LogLabels(text: $0).pairs }
        let fields = LogLabel.fields.flatMap { name, field in texts(field).map { (name, $0) } }
        return Set((streams + fields).map { LogLabel(name: $0.0, value: $0.1) })
    }
}
