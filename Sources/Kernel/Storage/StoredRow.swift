/// The columns of a statement's result: one object shared by all its rows.
public final class ColumnNames: Sendable {
    let names: [String]
    /// Where each name's column is, at the place of its hash or behind it; -1 where there is none. A row is read by
    /// dozens of names, and a dictionary's keyed hash took longer than the reading.
    private let slots: [Int]

    init(_ names: [String]) {
        self.names = names
        var size = 8
        while size < names.count * 2 { size *= 2 }
        var slots = Array(repeating: -1, count: size)
        for (index, name) in names.enumerated() {
            var slot = Self.hash(name) & (size - 1)
            while slots[slot] >= 0, names[slots[slot]] != name { slot = (slot + 1) & (size - 1) }
            if slots[slot] < 0 { slots[slot] = index }
        }
        self.slots = slots
    }

    func index(of name: String) -> Int? {
        var slot = Self.hash(name) & (slots.count - 1)
        while slots[slot] >= 0 {
            if names[slots[slot]] == name { return slots[slot] }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    /// Of a name's length, its first eight bytes and its last: that tells the columns of a table apart, and a row is
    /// read by dozens of them. The names are the code's own: nobody can choose them so that they collide.
    private static func hash(_ name: String) -> Int {
        var name = name
        let mixed = name.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            guard raw.count >= 8 else { return raw.reduce(UInt64(raw.count)) { $0 << 8 | UInt64($1) } }
            let head = raw.loadUnaligned(as: UInt64.self)
            let tail = raw.loadUnaligned(fromByteOffset: raw.count - 8, as: UInt64.self)
            return head ^ (tail &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(raw.count)
        }
        // Multiplied by an odd number the high bits depend on all others.
        return Int(truncatingIfNeeded: (mixed &* 0xBF58_476D_1CE4_E5B9) >> 40)
    }
}

/// One row of a result.
///
/// Tables are STRICT and their columns are ours, so a wrong name or type here is a mistake in the code beside it, and
/// traps with the column's name.
public struct StoredRow: Sendable {
    let columns: ColumnNames
    let values: [SQLValue]

    public subscript(column: String) -> SQLValue {
        guard let index = columns.index(of: column) else {
            preconditionFailure("no column \(column) in \(columns.names)")
        }
        return values[index]
    }

    public func optionalInt(_ column: String) -> Int64? {
        switch self[column] {
        case .null: nil
        case .integer(let value): value
        default: preconditionFailure("column \(column) is no integer")
        }
    }

    public func optionalText(_ column: String) -> String? {
        switch self[column] {
        case .null: nil
        case .text(let value): value
        default: preconditionFailure("column \(column) is no text")
        }
    }

    public func int(_ column: String) -> Int64 {
        guard let value = optionalInt(column) else { preconditionFailure("column \(column) is null") }
        return value
    }

    public func text(_ column: String) -> String {
        guard let value = optionalText(column) else { preconditionFailure("column \(column) is null") }
        return value
    }

    public func bool(_ column: String) -> Bool { int(column) != 0 }

    public func optionalReal(_ column: String) -> Double? {
        switch self[column] {
        case .null: nil
        case .real(let value): value
        case .integer(let value): Double(value)
        default: preconditionFailure("column \(column) is no number")
        }
    }

    public func real(_ column: String) -> Double {
        guard let value = optionalReal(column) else { preconditionFailure("column \(column) is null") }
        return value
    }

    public func blob(_ column: String) -> [UInt8] {
        guard case .blob(let bytes) = self[column] else { preconditionFailure("column \(column) is no blob") }
        return bytes
    }

    public func time(_ column: String) -> Timestamp { Timestamp(microseconds: int(column)) }
    public func optionalTime(_ column: String) -> Timestamp? { optionalInt(column).map(Timestamp.init(microseconds:)) }

    public func id<Subject>(_ column: String) -> Identifier<Subject> { Identifier(stored: text(column)) }
    public func optionalID<Subject>(_ column: String) -> Identifier<Subject>? {
        optionalText(column).map { Identifier(stored: $0) }
    }

    /// A JSON column of ours; what cannot be parsed any more reads as `null`.
    public func json(_ column: String) -> JSONValue {
        guard let text = optionalText(column), text != "null" else { return .null }
        if text == "{}" { return .object(JSONObject()) }
        if text == "[]" { return .array([]) }
        return (try? JSONParser.parse(text, depthMax: Limits.jsonDepthStored)) ?? .null
    }
}
