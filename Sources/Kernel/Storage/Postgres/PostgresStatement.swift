import CPostgres

/// A statement that the server has prepared.
final class PostgresStatement {
    /// What makes two statements the same: their text and their parameters' types.
    struct Key: Hashable {
        let text: String
        let types: [UInt8]

        init(_ sql: SQLText) {
            text = sql.text
            types = sql.values.map { value in
                switch value {
                case .null: UInt8(ascii: "n")
                case .integer: UInt8(ascii: "i")
                case .real: UInt8(ascii: "r")
                case .text: UInt8(ascii: "t")
                case .blob: UInt8(ascii: "b")
                }
            }
        }
    }

    let name: String
    /// The columns of its result, once it was run.
    var columns: ColumnNames?

    init(name: String) {
        self.name = name
    }

    /// The statement's text with `$1`, `$2`… for each `?`, and the word NULL for a parameter that is null: as a word it
    /// fits every column and every expression, where a parameter would need the type that null has not.
    static func numbered(_ sql: SQLText) throws -> String {
        var output: [UInt8] = []
        output.reserveCapacity(sql.text.utf8.count + sql.values.count * 3)
        var quote: UInt8?
        var index = 0
        var number = 0
        for byte in sql.text.utf8 {
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                quote = byte
            } else if byte == UInt8(ascii: "?") {
                guard index < sql.values.count else { throw mismatch(sql) }
                if sql.values[index] == .null {
                    output.append(contentsOf: "NULL".utf8)
                } else {
                    number += 1
                    output.append(contentsOf: "$\(number)".utf8)
                }
                index += 1
                continue
            }
            output.append(byte)
        }
        guard index == sql.values.count else { throw mismatch(sql) }
        return String(decoding: output, as: UTF8.self)
    }

    private static func mismatch(_ sql: SQLText) -> StorageFault {
        .failed("a statement has another number of parameters than its \(sql.values.count) values: \(sql.text)")
    }
}

/// Values on their way to the server, in PostgreSQL's binary form. Nulls stand in the statement's text instead.
struct PostgresParameters {
    // Begins with a byte of its own, so that an empty text has an address too: no address means null.
    private var bytes: [UInt8] = [0]
    private var offsets: [Int] = []
    private var lengths: [Int32] = []

    init(_ values: [SQLValue]) {
        for value in values {
            let start = bytes.count
            switch value {
            case .null: continue
            case .integer(let value): append(UInt64(bitPattern: value))
            case .real(let value): append(value.bitPattern)
            case .text(let value): bytes.append(contentsOf: value.utf8)
            case .blob(let value): bytes.append(contentsOf: value)
            }
            offsets.append(start)
            lengths.append(Int32(clamping: bytes.count - start))
        }
    }

    private mutating func append(_ value: UInt64) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// Calls with each value's address, length and format (1, binary), as `PQexecPrepared` wants them.
    func withPointers<Value>(_ body: ([UnsafePointer<CChar>?], [Int32], [Int32]) throws -> Value) rethrows -> Value {
        try bytes.withUnsafeBytes { buffer in
            let base = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            let pointers = offsets.map { offset in base.map { $0 + offset } }
            return try body(pointers, lengths, Array(repeating: 1, count: offsets.count))
        }
    }

    /// The type of each value that is not null.
    static func types(of values: [SQLValue]) -> [Oid] {
        values.compactMap { value in
            switch value {
            case .null: nil
            case .integer: PostgresValue.int8
            case .real: PostgresValue.float8
            case .text: PostgresValue.text
            case .blob: PostgresValue.bytea
            }
        }
    }
}
