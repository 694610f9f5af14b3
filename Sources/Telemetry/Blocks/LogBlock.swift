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

/// The first part of a block, unpacked: times, and the fields that rows share.
struct LogHeads {
    /// A block has a few thousand rows, and is ended early where they are large.
    static let bytesMax = 64 << 20

    let times: [Int64]
    private let texts: [ArraySlice<UInt8>]
    private let shared: [[Int32]]

    init(_ packed: [UInt8]) throws {
        var reader = ColumnReader(try Zstandard.unpack(packed, max: Self.bytesMax))
        let rows = try reader.length()
        let lengths = try (0..<(try reader.length())).map { _ in try reader.count() }
        texts = try lengths.map { try reader.slice(of: $0) }
        var before: Int64 = 0
        times = try (0..<rows).map { _ in
            before &+= try reader.signed()
            return before
        }
        let textsCount = texts.count
        shared = try LogRow.shared.map { _ in
            try (0..<rows).map { _ in
                let number = try reader.count()
                guard number <= textsCount else { throw ColumnReader.Damaged() }
                return Int32(number)
            }
        }
    }

    var count: Int { times.count }

    /// The column of a shared field: a number for each row, 0 for none.
    func column(_ field: Int) -> [Int32] { LogRow.shared.firstIndex(of: field).map { shared[$0] } ?? [] }

    /// The numbers of the texts that are as said.
    func numbers(where isMeant: (ArraySlice<UInt8>) -> Bool) -> Set<Int32> {
        Set(texts.indices.filter { isMeant(texts[$0]) }.map { Int32($0 + 1) })
    }

    func text(_ number: Int32) -> String? {
        number > 0 ? String(decoding: texts[Int(number) - 1], as: UTF8.self) : nil
    }

    func bytes(_ number: Int32) -> ArraySlice<UInt8>? { number > 0 ? texts[Int(number) - 1] : nil }

    func text(_ field: Int, of row: Int) -> String? {
        LogRow.shared.firstIndex(of: field).flatMap { text(shared[$0][row]) }
    }
}

/// The second part of a block, unpacked: the texts of each row.
struct LogBodies {
    static let bytesMax = 256 << 20

    private let bytes: [UInt8]
    private let messages: [Range<Int>]
    private let attributes: [Range<Int>]
    /// Where the rest begins, which is read only where a row is shown.
    private let rest: Int

    init(_ packed: [UInt8], rows: Int) throws {
        let unpacked = try Zstandard.unpack(packed, max: Self.bytesMax)
        var reader = ColumnReader(unpacked)
        func column() throws -> [Range<Int>] {
            let lengths = try (0..<rows).map { _ in try reader.count() }
            var start = unpacked.count - reader.rest.count
            let ranges = try lengths.map { length in
                guard length <= unpacked.count - start else { throw ColumnReader.Damaged() }
                defer { start += length }
                return start..<start + length
            }
            _ = try reader.slice(of: lengths.reduce(0, +))
            return ranges
        }
        messages = try column()
        attributes = try column()
        rest = unpacked.count - reader.rest.count
        bytes = unpacked
    }

    func message(_ row: Int) -> ArraySlice<UInt8> { bytes[messages[row]] }
    func attributes(_ row: Int) -> ArraySlice<UInt8> { bytes[attributes[row]] }

    /// Span, turn and duration of each row.
    func others() throws -> [(span: String?, turn: Int64?, duration: Double?)] {
        var reader = ColumnReader(Array(bytes[rest...]))
        return try messages.map { _ in
            let span = try reader.text()
            let given = try reader.number()
            let turn = given & 1 == 0 ? nil : try reader.signed()
            let duration = given & 2 == 0 ? nil : Double(bitPattern: try reader.whole())
            return (span.isEmpty ? nil : span, turn, duration)
        }
    }
}
