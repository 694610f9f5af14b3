/// The first part of a block, unpacked: times, and the fields that rows share.
struct LogHeads {
    /// A block has a few thousand rows, and is ended early where they are large.
    static let bytesMax = 64 << 20

    let times: [Int64]
    private let bytes: [UInt8]
    /// Where each text ends; the first begins at `start`.
    private let ends: [Int]
    private let start: Int
    private let shared: [[Int32]]

    init(_ packed: [UInt8]) throws {
        bytes = try Zstandard.unpack(packed, max: Self.bytesMax)
        (times, ends, start, shared) = try bytes.withUnsafeBytes { bytes in
            var scanner = ColumnScanner(bytes)
            let rows = scanner.length()
            let lengths = scanner.counts(scanner.length())
            let start = scanner.position
            var end = start
            let ends = lengths.map { length in
                end += length
                return end
            }
            scanner.skip(end - start)
            var time: Int64 = 0
            let times = (0..<rows).map { _ in
                time &+= scanner.signed()
                return time
            }
            let shared = LogRow.shared.map { _ in scanner.numbers(rows, max: lengths.count) }
            try scanner.check()
            return (times, ends, start, shared)
        }
    }

    var count: Int { times.count }

    /// The column of a shared field: a number for each row, 0 for none.
    func column(_ field: Int) -> [Int32] { LogRow.shared.firstIndex(of: field).map { shared[$0] } ?? [] }

    /// The numbers of the texts that are as said.
    func numbers(where isMeant: (UnsafeBufferPointer<UInt8>) -> Bool) -> Set<Int32> {
        bytes.withUnsafeBufferPointer { bytes in
            var numbers: Set<Int32> = []
            var begin = start
            for (index, end) in ends.enumerated() {
                if isMeant(UnsafeBufferPointer(rebasing: bytes[begin..<end])) { numbers.insert(Int32(index + 1)) }
                begin = end
            }
            return numbers
        }
    }

    func text(_ number: Int32) -> String? { bytes(number).map { String(decoding: $0, as: UTF8.self) } }

    func bytes(_ number: Int32) -> ArraySlice<UInt8>? {
        guard number > 0 else { return nil }
        let index = Int(number) - 1
        return bytes[(index == 0 ? start : ends[index - 1])..<ends[index]]
    }

    func text(_ field: Int, of row: Int) -> String? {
        LogRow.shared.firstIndex(of: field).flatMap { text(shared[$0][row]) }
    }
}

/// The second part of a block, unpacked: the texts of each row.
struct LogBodies {
    static let bytesMax = 256 << 20

    /// What a row has beside its texts.
    struct Rest {
        var span: String?
        var turn: Int64?
        var duration: Double?
    }

    private let bytes: [UInt8]
    fileprivate let messages: [Range<Int>]
    fileprivate let attributes: [Range<Int>]
    /// Where the rest begins, which is read only where a row is shown.
    private let rest: Int

    init(_ packed: [UInt8], rows: Int) throws {
        bytes = try Zstandard.unpack(packed, max: Self.bytesMax)
        (messages, attributes, rest) = try bytes.withUnsafeBytes { bytes in
            var scanner = ColumnScanner(bytes)
            func column() -> [Range<Int>] {
                let lengths = scanner.counts(rows)
                var start = scanner.position
                let ranges = lengths.map { length in
                    defer { start += length }
                    return start..<start + length
                }
                scanner.skip(start - scanner.position)
                return ranges
            }
            let (messages, attributes) = (column(), column())
            try scanner.check()
            return (messages, attributes, scanner.position)
        }
    }

    fileprivate func withUnsafeBytes(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try bytes.withUnsafeBytes(body)
    }

    func message(_ row: Int) -> ArraySlice<UInt8> { bytes[messages[row]] }
    func attributes(_ row: Int) -> ArraySlice<UInt8> { bytes[attributes[row]] }

    /// What the rows have beside their texts.
    func rest(of rows: some Collection<Int>) throws -> [Int: Rest] {
        guard let last = rows.max() else { return [:] }
        let wanted = Set(rows)
        return try bytes.withUnsafeBytes { bytes in
            var scanner = ColumnScanner(bytes, from: rest)
            var found: [Int: Rest] = [:]
            for row in 0...last {
                let start = scanner.length() + scanner.position
                let span = start - scanner.position
                let text = UnsafeRawBufferPointer(rebasing: bytes[scanner.position..<start])
                scanner.skip(span)
                let given = scanner.number()
                let turn = given & 1 == 0 ? nil : scanner.signed()
                let duration = given & 2 == 0 ? nil : Double(bitPattern: scanner.whole())
                guard wanted.contains(row) else { continue }
                let id = span == 0 ? nil : String(decoding: text, as: UTF8.self)
                found[row] = Rest(span: id, turn: turn, duration: duration)
            }
            try scanner.check()
            return found
        }
    }
}

extension LogHeads {
    /// Shows the rows of a block, as they went into it.
    func each(_ bodies: LogBodies, _ body: (LogRow.Fields) throws -> Void) throws {
        let rests = try bodies.rest(of: 0..<count)
        try bytes.withUnsafeBytes { heads in
            try bodies.withUnsafeBytes { texts in
                for row in 0..<count {
                    var fields = LogRow.Fields()
                    fields.time = times[row]
                    for (column, field) in LogRow.shared.enumerated() where shared[column][row] > 0 {
                        let index = Int(shared[column][row]) - 1
                        let begin = index == 0 ? start : ends[index - 1]
                        fields[field] = UnsafeRawBufferPointer(rebasing: heads[begin..<ends[index]])
                    }
                    fields[LogRow.Field.message] = UnsafeRawBufferPointer(rebasing: texts[bodies.messages[row]])
                    fields[LogRow.Field.attributes] = UnsafeRawBufferPointer(rebasing: texts[bodies.attributes[row]])
                    let rest = rests[row] ?? LogBodies.Rest()
                    (fields.turn, fields.duration) = (rest.turn, rest.duration)
                    var span = rest.span ?? ""
                    try span.withUTF8 { span in
                        fields[LogRow.Field.span] = UnsafeRawBufferPointer(span)
                        try body(fields)
                    }
                }
            }
        }
    }
}
