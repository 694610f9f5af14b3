import CSQLite
import GRDB

/// A prepared statement, driven by SQLite's own calls (sqlite.org/c3ref/stmt.html).
///
/// A task's way through the store is dozens of statements of a few microseconds each, and wrapping every value on its
/// way in and out took longer than they did.
final class SQLiteStatement {
    private let handle: OpaquePointer
    private let database: OpaquePointer
    private let values: SQLiteValues
    private lazy var columns = ColumnNames(
        (0..<sqlite3_column_count(handle)).map { String(cString: sqlite3_column_name(handle, $0)) })

    /// `SQLITE_TRANSIENT`: the value is copied before the call returns.
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    /// - Parameter values: the place of the bound values, shared by all statements of a connection: one runs at a time.
    init(_ text: String, on database: OpaquePointer, values: SQLiteValues) throws {
        var handle: OpaquePointer?
        let flags = UInt32(SQLITE_PREPARE_PERSISTENT)
        let code = sqlite3_prepare_v3(database, text, -1, flags, &handle, nil)
        guard code == SQLITE_OK, let handle else { throw Self.failure(database) }
        self.handle = handle
        self.database = database
        self.values = values
    }

    deinit { sqlite3_finalize(handle) }

    /// Runs it to its end and returns what it found.
    func rows(_ values: [SQLValue]) throws -> [StoredRow] {
        defer { reset() }
        try bind(values)
        var rows: [StoredRow] = []
        while try step() {
            let count = columns.names.count
            rows.append(StoredRow(columns: columns, values: (0..<count).map { value(CInt($0)) }))
        }
        return rows
    }

    /// Runs it to its end and returns how many rows it changed.
    func run(_ values: [SQLValue]) throws -> Int {
        defer { reset() }
        try bind(values)
        while try step() {}
        return Int(sqlite3_changes(database))
    }

    private static func failure(_ database: OpaquePointer) -> DatabaseError {
        DatabaseError(
            resultCode: ResultCode(rawValue: sqlite3_extended_errcode(database)),
            message: String(cString: sqlite3_errmsg(database)))
    }

    private func step() throws -> Bool {
        switch sqlite3_step(handle) {
        case SQLITE_ROW: true
        case SQLITE_DONE: false
        default: throw Self.failure(database)
        }
    }

    /// Lets go of the read lock and of the values.
    private func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    private func bind(_ values: [SQLValue]) throws {
        let addresses = self.values.place(values)
        for (index, value) in zip(CInt(1)..., values) {
            let address = addresses.map { $0 + self.values.offsets[Int(index) - 1] }
            guard bind(value, at: index, address) == SQLITE_OK else { throw Self.failure(database) }
        }
    }

    /// - Parameter address: where the bytes of a text or blob stand until it has run; `nil` where SQLite has to copy
    ///   them.
    private func bind(_ value: SQLValue, at index: CInt, _ address: UnsafePointer<UInt8>?) -> CInt {
        switch value {
        case .null: return sqlite3_bind_null(handle, index)
        case .integer(let value): return sqlite3_bind_int64(handle, index, value)
        case .real(let value): return sqlite3_bind_double(handle, index, value)
        // Where nothing is to be copied there may be no address, and that would bind NULL.
        case .text(let value) where value.isEmpty: return sqlite3_bind_text(handle, index, "", 0, Self.transient)
        case .blob(let value) where value.isEmpty: return sqlite3_bind_zeroblob(handle, index, 0)
        case .text(var value):
            return value.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) { own in
                    let placed = UnsafeRawPointer(address)?.assumingMemoryBound(to: CChar.self)
                    return sqlite3_bind_text64(
                        handle, index, placed ?? own.baseAddress, UInt64(own.count),
                        address == nil ? Self.transient : nil, UInt8(SQLITE_UTF8))
                }
            }
        case .blob(let value):
            guard let address else {
                return sqlite3_bind_blob64(handle, index, value, UInt64(value.count), Self.transient)
            }
            return sqlite3_bind_blob64(handle, index, address, UInt64(value.count), nil)
        }
    }

    private func value(_ column: CInt) -> SQLValue {
        switch sqlite3_column_type(handle, column) {
        case SQLITE_INTEGER: return .integer(sqlite3_column_int64(handle, column))
        case SQLITE_FLOAT: return .real(sqlite3_column_double(handle, column))
        case SQLITE_TEXT:
            let start = sqlite3_column_text(handle, column)
            let count = Int(sqlite3_column_bytes(handle, column))
            return .text(String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            let start = sqlite3_column_blob(handle, column)
            return .blob(
                [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, column)))))
        default: return .null
        }
    }
}

/// The bytes of the texts and blobs that are bound to the statement that runs. In one place, as SQLite would else
/// allocate a copy of each.
final class SQLiteValues {
    /// Values that take more than this are copied by SQLite after all.
    private static let bytesMax = 64 << 10

    private let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: SQLiteValues.bytesMax)
    /// Where each value begins.
    private(set) var offsets: [Int] = []

    deinit { bytes.deallocate() }

    /// Copies the values' bytes one behind the other; `nil` where they have no room.
    func place(_ values: [SQLValue]) -> UnsafePointer<UInt8>? {
        // Apart from the object meanwhile, whose every access would be checked.
        var offsets: [Int] = []
        swap(&offsets, &self.offsets)
        defer { swap(&offsets, &self.offsets) }
        offsets.removeAll(keepingCapacity: true)
        var end = 0
        for value in values {
            offsets.append(end)
            switch value {
            case .text(var text):
                let isPlaced = text.withUTF8 { append($0, &end) }
                if !isPlaced { return nil }
            case .blob(let blob):
                let isPlaced = blob.withUnsafeBufferPointer { append($0, &end) }
                if !isPlaced { return nil }
            case .null, .integer, .real: break
            }
        }
        return UnsafePointer(bytes)
    }

    private func append(_ source: UnsafeBufferPointer<UInt8>, _ end: inout Int) -> Bool {
        guard source.count <= Self.bytesMax - end else { return false }
        if let start = source.baseAddress { (bytes + end).update(from: start, count: source.count) }
        end += source.count
        return true
    }
}
