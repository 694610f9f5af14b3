import Kernel

/// A query whose values are bound: what is interpolated becomes a table beside the query, never a part of its text.
///
/// ClickHouse has parameters from 20.1 on only; external tables (ClickHouse documentation, "External Data for Query
/// Processing") are as old as its HTTP interface, and take any bytes.
struct ClickHouseQuery: ExpressibleByStringInterpolation {
    enum Piece {
        case text(String)
        case string(String)
        case int(Int64)
        case bytes([UInt8])
        /// A set of texts, for `IN`.
        case list([String])
    }

    private(set) var pieces: [Piece]

    init(stringLiteral text: String) { pieces = [.text(text)] }
    init(stringInterpolation: Interpolation) { pieces = stringInterpolation.pieces }

    struct Interpolation: StringInterpolationProtocol {
        fileprivate var pieces: [Piece] = []

        init(literalCapacity: Int, interpolationCount: Int) {}

        mutating func appendLiteral(_ literal: String) { pieces.append(.text(literal)) }
        mutating func appendInterpolation(_ value: String) { pieces.append(.string(value)) }
        mutating func appendInterpolation(_ value: Int64) { pieces.append(.int(value)) }
        /// A text that need not be UTF-8.
        mutating func appendInterpolation(bytes: [UInt8]) { pieces.append(.bytes(bytes)) }
        mutating func appendInterpolation(list: [String]) { pieces.append(.list(list)) }
        mutating func appendInterpolation(_ part: ClickHouseQuery) { pieces += part.pieces }
        /// A number that stands where ClickHouse takes no expression, such as behind `LIMIT`.
        mutating func appendInterpolation(count: Int) { pieces.append(.text(String(count))) }
        /// What is written in the schema.
        mutating func appendInterpolation(schema: String) { pieces.append(.text(schema)) }
    }

    static func joined(_ parts: [ClickHouseQuery], by separator: StaticString) -> ClickHouseQuery {
        var all: ClickHouseQuery = ""
        for (index, part) in parts.enumerated() {
            if index > 0 { all.pieces.append(.text("\(separator)")) }
            all.pieces += part.pieces
        }
        return all
    }

    /// A table that goes beside a query.
    struct Table: Equatable {
        let name: String
        /// Names and types of its columns, as ClickHouse writes them.
        let structure: String
        /// In ClickHouse's format `RowBinary`.
        let rows: [UInt8]
    }

    /// The text with names in the place of values, and the tables that have those.
    func rendered() -> (text: String, tables: [Table]) {
        var text = ""
        var columns: [String] = []
        var row = ColumnWriter()
        var lists: [Table] = []
        for piece in pieces {
            switch piece {
            case .text(let part): text += part
            case .string(let value):
                text += ClickHouseSchema.bound(columns.count)
                columns.append("v\(columns.count) String")
                row.append(value)
            case .bytes(let value):
                text += ClickHouseSchema.bound(columns.count)
                columns.append("v\(columns.count) String")
                value.withUnsafeBytes { row.append($0) }
            case .int(let value):
                text += ClickHouseSchema.bound(columns.count)
                columns.append("v\(columns.count) Int64")
                row.append(whole: UInt64(bitPattern: value))
            case .list(let values):
                let name = "bound\(lists.count)"
                text += ClickHouseSchema.boundList(name)
                var rows = ColumnWriter()
                for value in values { rows.append(value) }
                lists.append(Table(name: name, structure: "v String", rows: rows.bytes))
            }
        }
        let scalars =
            columns.isEmpty ? [] : [Table(name: "bound", structure: columns.joined(separator: ", "), rows: row.bytes)]
        return (text, scalars + lists)
    }

    /// One of several, in brackets.
    static func any(_ parts: [ClickHouseQuery]) -> ClickHouseQuery { "(\(.joined(parts, by: " OR ")))" }
}
