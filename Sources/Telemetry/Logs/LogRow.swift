import Kernel

/// A log record as bytes, from its door to its block: a message in Protocol Buffers' wire format with the fields that
/// it has, so that what is kept is neither JSON nor an object of texts on its way.
///
/// The spool has rows on disk: a number is never given another meaning.
enum LogRow {
    enum Field {
        static let time = 1
        static let level = 2
        static let service = 3
        static let message = 4
        static let logger = 5
        static let correlation = 6
        static let agent = 7
        static let session = 8
        static let tool = 9
        static let trace = 10
        static let span = 11
        static let turn = 12
        static let duration = 13
        static let category = 14
        static let attributes = 15
        static let labels = 16
    }

    /// Fields that say the same in many rows, in the order of their columns.
    static let shared = [
        Field.level, Field.service, Field.logger, Field.correlation, Field.agent, Field.session, Field.tool,
        Field.trace, Field.labels,
    ]

    /// The bytes of a record; its texts are UTF-8 by their type.
    static func encode(_ record: LogRecord) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.fixed64(Field.time, UInt64(bitPattern: record.time))
        writer.string(Field.level, record.level)
        writer.string(Field.service, record.service)
        writer.string(Field.message, record.message)
        let texts: [(Int, String?)] = [
            (Field.logger, record.logger), (Field.correlation, record.correlationID), (Field.agent, record.agent),
            (Field.session, record.session), (Field.tool, record.tool), (Field.trace, record.traceID),
            (Field.span, record.spanID),
        ]
        for case (let number, let text?) in texts { writer.string(number, text) }
        if let turn = record.turn { writer.varint(Field.turn, UInt64(bitPattern: turn)) }
        if let duration = record.durationMs { writer.fixed64(Field.duration, duration.bitPattern) }
        writer.varint(Field.category, UInt64(TelemetryCategory.allCases.firstIndex(of: record.category) ?? 0))
        if !record.attributes.isEmpty { writer.bytes(Field.attributes, JSONValue.object(record.attributes).bytes) }
        if !record.labels.isEmpty { writer.string(Field.labels, record.labels.text) }
        return writer.bytes
    }

    /// The fields of a row where they lie.
    struct Fields {
        var time: Int64 = 0
        var category = TelemetryCategory.system
        var turn: Int64?
        var duration: Double?
        private var texts = [UnsafeRawBufferPointer?](repeating: nil, count: Field.labels + 1)

        init() {}

        init(_ row: UnsafeRawBufferPointer) throws(ProtobufReader.Malformed) {
            var reader = ProtobufReader(row)
            while let field = try reader.next() {
                switch (field.number, field.value) {
                case (Field.time, .fixed64(let bits)): time = Int64(bitPattern: bits)
                case (Field.turn, .varint(let value)): turn = Int64(bitPattern: value)
                case (Field.duration, .fixed64(let bits)): duration = Double(bitPattern: bits)
                case (Field.category, .varint(let value)):
                    guard let index = Int(exactly: value), TelemetryCategory.allCases.indices.contains(index) else {
                        throw ProtobufReader.Malformed()
                    }
                    category = TelemetryCategory.allCases[index]
                case (1...Field.labels, .bytes(let bytes)): texts[field.number] = bytes
                default: break
                }
            }
        }

        /// The bytes of a text; `nil` where the row has none.
        subscript(_ field: Int) -> UnsafeRawBufferPointer? {
            get { texts[field] }
            set { texts[field] = newValue }
        }
    }

    /// A row with another text in one of its fields.
    static func replacing(
        _ number: Int, of row: UnsafeRawBufferPointer, with text: String
    ) throws(ProtobufReader.Malformed) -> [UInt8] {
        try ProtobufWriter.rewriting(row) { field, bytes in field == number ? Array(text.utf8) : Array(bytes) }
    }

    /// The attributes of a row. OTLP's texts may have a character that our reader of JSON refuses (U+0000), which
    /// stands as U+FFFD then. What cannot be read at all is shown as a text: one record must not keep all others of its
    /// block from being read.
    static func attributes(_ text: some Collection<UInt8>) -> JSONObject {
        let text = Array(text)
        if let document = try? JSONParser.parse(text) { return document.object ?? JSONObject() }
        var bytes: [UInt8] = []
        var position = 0
        let null = Array("\\u0000".utf8)
        while position < text.count {
            guard text[position] == UInt8(ascii: "\\") else {
                bytes.append(text[position])
                position += 1
                continue
            }
            let isNull = text[position...].starts(with: null)
            bytes += isNull ? Array("\\ufffd".utf8) : Array(text[position...].prefix(2))
            position += isNull ? null.count : 2
        }
        if let document = try? JSONParser.parse(bytes) { return document.object ?? JSONObject() }
        return JSONObject([.init(name: "attributes", value: .string(String(decoding: text, as: UTF8.self)))])
    }

    /// The record that a row is of.
    static func decode(_ row: UnsafeRawBufferPointer) throws -> LogRecord {
        let fields = try Fields(row)
        func text(_ field: Int) -> String? { fields[field].map { String(decoding: $0, as: UTF8.self) } }
        var record = LogRecord(at: fields.time)
        record.level = text(Field.level) ?? record.level
        record.service = text(Field.service) ?? record.service
        record.message = text(Field.message) ?? ""
        record.logger = text(Field.logger)
        record.correlationID = text(Field.correlation)
        record.agent = text(Field.agent)
        record.session = text(Field.session)
        record.tool = text(Field.tool)
        record.traceID = text(Field.trace)
        record.spanID = text(Field.span)
        record.turn = fields.turn
        record.durationMs = fields.duration
        record.category = fields.category
        if let attributes = text(Field.attributes) {
            record.attributes = LogRow.attributes(attributes.utf8)
        }
        record.labels = text(Field.labels).map { LogLabels(text: $0) } ?? LogLabels()
        return record
    }
}

/// Rows one behind the other, each behind its length.
public struct LogRows: Sendable {
    private(set) var bytes: [UInt8] = []
    public private(set) var count = 0

    init() {}

    /// - Throws: ``ColumnReader/Damaged`` where the bytes are no rows.
    init(_ bytes: [UInt8]) throws {
        self.bytes = bytes
        var reader = ColumnReader(bytes)
        while !reader.rest.isEmpty {
            let row = try reader.slice()
            _ = try row.withUnsafeBytes { try LogRow.Fields($0) }
            count += 1
        }
    }

    mutating func append(_ row: [UInt8]) {
        bytes.append(varint: UInt64(row.count))
        bytes.append(contentsOf: row)
        count += 1
    }

    mutating func append(_ rows: LogRows) {
        bytes.append(contentsOf: rows.bytes)
        count += rows.count
    }

    /// Shows each row.
    func each(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        try bytes.withUnsafeBytes { bytes in
            var position = 0
            while position < bytes.count {
                var length = 0
                var shift = 0
                while position < bytes.count {
                    let byte = Int(bytes[position])
                    position += 1
                    length |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80 { break }
                }
                try body(UnsafeRawBufferPointer(rebasing: bytes[position..<position + length]))
                position += length
            }
        }
    }
}
