import Kernel

/// ClickHouse's format `RowBinary` (ClickHouse documentation, "RowBinary"): texts behind their length with seven bits a
/// byte, as columns of ours have them, and numbers whole, little-endian.
extension ColumnWriter {
    /// `UInt8`.
    mutating func append(byte: UInt8) { append(raw: [byte]) }

    /// `Date`: days since 1970 in two bytes.
    mutating func append(day: Int) {
        append(raw: [UInt8(truncatingIfNeeded: day), UInt8(truncatingIfNeeded: day >> 8)])
    }

    /// `UInt32`.
    mutating func append(word: Int) {
        append(raw: (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) })
    }

    /// `Int64`.
    mutating func append(int: Int64) { append(whole: UInt64(bitPattern: int)) }

    /// `Nullable` of eight bytes.
    mutating func append(optional value: UInt64?) {
        append(byte: value == nil ? 1 : 0)
        if let value { append(whole: value) }
    }

    /// `Array(String)`.
    mutating func append(texts: [String]) {
        append(texts.count)
        for text in texts { append(text) }
    }
}

extension ColumnReader {
    mutating func byte() throws(Damaged) -> UInt8 { try slice(of: 1).first ?? 0 }

    mutating func day() throws(Damaged) -> Int { try slice(of: 2).reversed().reduce(0) { $0 << 8 | Int($1) } }

    mutating func word() throws(Damaged) -> Int { try slice(of: 4).reversed().reduce(0) { $0 << 8 | Int($1) } }

    mutating func int() throws(Damaged) -> Int64 { Int64(bitPattern: try whole()) }

    mutating func optional() throws(Damaged) -> UInt64? { try byte() == 1 ? nil : try whole() }

    /// `nil` for an empty one: ClickHouse's columns have no other sign for what is absent.
    mutating func textIfAny() throws(Damaged) -> String? {
        let text = try text()
        return text.isEmpty ? nil : text
    }

    mutating func texts() throws(Damaged) -> [String] {
        let count = try length()
        var texts: [String] = []
        for _ in 0..<count { texts.append(try text()) }
        return texts
    }

    /// Row by row to the end.
    static func rows<Row>(
        _ bytes: [UInt8], _ row: (inout ColumnReader) throws -> Row
    ) throws(ClickHouseFault) -> [Row] {
        var reader = ColumnReader(bytes)
        var rows: [Row] = []
        do {
            while !reader.rest.isEmpty { rows.append(try row(&reader)) }
        } catch { throw .unreadable("a row ends too early") }
        return rows
    }
}
