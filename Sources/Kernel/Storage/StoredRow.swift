/// The columns of a statement's result: one object shared by all its rows.
public final class ColumnNames: Sendable {
    let indexes: [String: Int]
    let names: [String]

    init(_ names: [String]) {
        self.names = names
        indexes = Dictionary(zip(names, 0...), uniquingKeysWith: { first, _ in first })
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
        guard let index = columns.indexes[column] else {
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
        return (try? JSONParser.parse(text, depthMax: Limits.jsonDepthStored)) ?? .null
    }
}
