/// A value as a database keeps it.
public enum SQLValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])
}

/// What may be bound to a statement.
public protocol SQLBindable {
    var sqlValue: SQLValue { get }
}

// Inlinable, as are the interpolations below: a statement's text and values are put together wherever one is written,
// and without its types at hand the compiler would look them up each time.
extension SQLValue: SQLBindable { @inlinable public var sqlValue: SQLValue { self } }
extension Int64: SQLBindable { @inlinable public var sqlValue: SQLValue { .integer(self) } }
extension Int: SQLBindable { @inlinable public var sqlValue: SQLValue { .integer(Int64(self)) } }
extension Bool: SQLBindable { @inlinable public var sqlValue: SQLValue { .integer(self ? 1 : 0) } }
extension Double: SQLBindable { @inlinable public var sqlValue: SQLValue { .real(self) } }
extension String: SQLBindable { @inlinable public var sqlValue: SQLValue { .text(self) } }
extension Timestamp: SQLBindable { @inlinable public var sqlValue: SQLValue { .integer(microseconds) } }
extension Span: SQLBindable { @inlinable public var sqlValue: SQLValue { .integer(microseconds) } }
extension Identifier: SQLBindable { @inlinable public var sqlValue: SQLValue { .text(text) } }
extension JSONValue: SQLBindable { @inlinable public var sqlValue: SQLValue { .text(text) } }
extension Optional: SQLBindable where Wrapped: SQLBindable {
    @inlinable public var sqlValue: SQLValue { self?.sqlValue ?? .null }
}

/// A statement with its values apart from its text: an interpolated value becomes a bound parameter, never text.
///
/// Written in the common subset of SQLite 3.40 and PostgreSQL 15. Parameters stand as `?`; the PostgreSQL driver
/// numbers them, so no literal in a statement may contain a question mark.
public struct SQLText: Sendable, ExpressibleByStringInterpolation {
    public private(set) var text: String
    public private(set) var values: [SQLValue]

    public init(stringLiteral value: String) {
        text = value
        values = []
    }

    public init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
        values = stringInterpolation.values
    }

    /// A text with as many `?` as there are values.
    init(_ text: String, _ values: [SQLValue]) {
        self.text = text
        self.values = values
    }

    /// `a = ?, b = ?` of an `UPDATE`, for a choice of columns. Their names are the code's own, never a client's.
    public static func assignments(_ columns: [(name: String, value: SQLValue)]) -> SQLText {
        SQLText(list(columns) { $0 += $1.name + " = ?" }, columns.map(\.value))
    }

    /// The columns of a `SELECT`, some of them with a bound value in their place. Their names are the code's own.
    public static func columns(_ columns: [(name: String, value: SQLValue?)]) -> SQLText {
        SQLText(list(columns) { $0 += $1.value == nil ? $1.name : "?" }, columns.compactMap(\.value))
    }

    /// Puts a list together in one piece: the longest statements have seventy columns.
    private static func list<Column>(_ columns: [Column], _ add: (inout String, Column) -> Void) -> String {
        var text = ""
        text.reserveCapacity(columns.count * Self.columnBytes)
        for column in columns {
            if !text.isEmpty { text += ", " }
            add(&text, column)
        }
        return text
    }

    /// About what a column takes of a statement's text.
    private static let columnBytes = 24

    /// Joins two pieces, the second behind a space.
    public static func + (left: SQLText, right: SQLText) -> SQLText {
        var joined = left
        joined.text += " " + right.text
        joined.values += right.values
        return joined
    }

    public static func += (left: inout SQLText, right: SQLText) { left = left + right }

    public struct StringInterpolation: StringInterpolationProtocol {
        @usableFromInline var text = ""
        @usableFromInline var values: [SQLValue] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + interpolationCount)
            values.reserveCapacity(interpolationCount)
        }

        @inlinable public mutating func appendLiteral(_ literal: String) { text += literal }

        /// A bound value.
        @inlinable public mutating func appendInterpolation(_ value: some SQLBindable) {
            text += "?"
            values.append(value.sqlValue)
        }

        /// A bound value, or `NULL`. Apart from the other one so that the compiler does not warn of optionals in texts.
        @inlinable public mutating func appendInterpolation(_ value: (some SQLBindable)?) {
            text += "?"
            values.append(value?.sqlValue ?? .null)
        }

        /// Another statement's text and values: the only way for text to come in, and it was a literal itself.
        public mutating func appendInterpolation(sql fragment: SQLText) {
            text += fragment.text
            values += fragment.values
        }

        /// The operand of `IN`: a bound list in parentheses. An empty list matches nothing, as SQL has no empty list.
        ///
        /// It is rounded up to a power of two by repeating its last value, so that few statements stay prepared.
        @inlinable public mutating func appendInterpolation(list: [some SQLBindable]) {
            guard let last = list.last else {
                text += "(NULL)"
                return
            }
            for element in list { values.append(element.sqlValue) }
            var size = 1
            while size < list.count { size *= 2 }
            for _ in list.count..<size { values.append(last.sqlValue) }
            text += "(?"
            for _ in 1..<size { text += ", ?" }
            text += ")"
        }
    }
}
