/// Why a record is not taken, though the request around it is.
public enum RecordFlaw: String, Error, Sendable, CaseIterable {
    case malformed
    case invalidUTF8 = "invalid_utf8"
    case nestedTooDeep = "nested_too_deep"
    case invalidTraceID = "invalid_trace_id"
    case invalidSpanID = "invalid_span_id"
    case tooLarge = "too_large"
    case tooMany = "too_many"
    /// Could be taken, and is not: see ``DiskQuota``.
    case shed
    case notAnObject = "not_an_object"
    case noMessage = "no_message"
    case badTimestamp = "bad_timestamp"
    case outOfOrder = "out_of_order"
    case outOfTime = "out_of_time"
    case tooManySeries = "too_many_series"
    case noTemporality = "no_temporality"

    /// For whoever sent it.
    public var message: String {
        switch self {
        case .malformed: "is no valid message"
        case .invalidUTF8: "holds text that is not UTF-8"
        case .nestedTooDeep: "nests values deeper than \(AttributeValue.depthMax) levels"
        case .invalidTraceID: "has no trace id of 16 bytes that are not all zero"
        case .invalidSpanID: "has no span id of 8 bytes that are not all zero"
        case .tooLarge:
            "is larger than \(TelemetryLimits.recordBytes) bytes, or its resource than \(TelemetryLimits.resourceBytes)"
        case .shed: "is of a category that is not kept while telemetry.diskQuota is used up"
        case .notAnObject: "is no JSON object"
        case .noMessage: "has no `message`"
        case .badTimestamp: "has a `timestamp` that is neither RFC 3339 nor a number of seconds since 1970"
        case .tooMany: "is beyond the \(TelemetryLimits.recordsPerRequest) records of one request"
        case .outOfOrder: "is older than the last one of its series, or of the same time and another value"
        case .outOfTime: "is older than what is kept, or ahead of the clock"
        case .tooManySeries: "begins a series beyond the \(SeriesStore.seriesMax) that there may be"
        case .noTemporality: "is neither cumulative nor a delta, or nothing that is known"
        }
    }
}

/// Bounds of what is taken in.
public enum TelemetryLimits {
    /// Bytes of one record.
    public static let recordBytes = 9 << 20
    /// Bytes of a resource, and of a scope: each stands once in every block that has spans of it.
    public static let resourceBytes = 64 << 10
    /// Records of one request.
    public static let recordsPerRequest = 50_000
    /// Bytes of one log record, as it is kept.
    public static let logBytes = 1 << 20
    /// Log records of one request.
    public static let logsPerRequest = 500_000
    /// Bytes of a request's body, once it is unpacked (OTLP specification, "OTLP/HTTP Request").
    public static let bodyBytes = 64 << 20
}

/// Text in hostile bytes.
enum WireText {
    /// Whether the bytes are UTF-8. Most are ASCII, eight of which are looked at together.
    static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var position = 0
        while bytes.count - position >= 8 {
            let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            guard word & 0x8080_8080_8080_8080 == 0 else { break }
            position += 8
        }
        while position < bytes.count, bytes[position] < 0x80 { position += 1 }
        guard position < bytes.count else { return true }
        return String(validating: bytes[position...], as: UTF8.self) != nil
    }

    static func read(_ bytes: UnsafeRawBufferPointer) throws(RecordFlaw) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .invalidUTF8 }
        return text
    }
}

extension ProtobufReader {
    /// The next field, with the flaw that a record has where there is none.
    mutating func field() throws(RecordFlaw) -> Field? {
        do { return try next() } catch { throw .malformed }
    }
}

extension AttributeValue {
    /// Reads an `AnyValue`.
    static func read(_ message: UnsafeRawBufferPointer, depth: Int = 0) throws(RecordFlaw) -> AttributeValue {
        guard depth < depthMax else { throw .nestedTooDeep }
        var reader = ProtobufReader(message)
        var value = AttributeValue.empty
        // Of a `oneof` that stands more than once the last counts.
        while let field = try reader.field() {
            switch (field.number, field.value) {
            case (OTLPField.AnyValue.string, .bytes(let bytes)): value = .string(try WireText.read(bytes))
            case (OTLPField.AnyValue.bool, .varint(let number)): value = .bool(number != 0)
            case (OTLPField.AnyValue.int, .varint(let number)): value = .int(Int64(bitPattern: number))
            case (OTLPField.AnyValue.double, .fixed64(let bits)): value = .double(Double(bitPattern: bits))
            case (OTLPField.AnyValue.bytes, .bytes(let bytes)): value = .bytes(Array(bytes))
            case (OTLPField.AnyValue.map, .bytes(let list)):
                value = .map(try [Attribute].read(list, field: OTLPField.Values.values, depth: depth + 1))
            case (OTLPField.AnyValue.array, .bytes(let list)):
                var values: [AttributeValue] = []
                var inner = ProtobufReader(list)
                while let element = try inner.field() {
                    guard element.number == OTLPField.Values.values, let bytes = element.bytes else { continue }
                    values.append(try read(bytes, depth: depth + 1))
                }
                value = .array(values)
            default: break
            }
        }
        return value
    }

    /// Whether an `AnyValue` can be read, without reading it.
    static func check(_ message: UnsafeRawBufferPointer, depth: Int = 0) throws(RecordFlaw) {
        guard depth < depthMax else { throw .nestedTooDeep }
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case OTLPField.AnyValue.string: guard WireText.isValid(bytes) else { throw .invalidUTF8 }
            case OTLPField.AnyValue.array:
                var inner = ProtobufReader(bytes)
                while let element = try inner.field() {
                    if let bytes = element.bytes { try check(bytes, depth: depth + 1) }
                }
            case OTLPField.AnyValue.map:
                // Its pairs are a level of their own, also where they have no values.
                guard depth + 1 < depthMax else { throw .nestedTooDeep }
                var inner = ProtobufReader(bytes)
                while let element = try inner.field() {
                    guard let bytes = element.bytes else { continue }
                    let pair = try AttributePair(bytes)
                    if let value = pair.value { try check(value, depth: depth + 1) }
                }
            default: break
            }
        }
    }
}

/// A `KeyValue` where it lies.
struct AttributePair {
    /// UTF-8, which was checked.
    let name: UnsafeRawBufferPointer
    /// An `AnyValue`; `nil` for an attribute without one.
    let value: UnsafeRawBufferPointer?

    init(_ message: UnsafeRawBufferPointer) throws(RecordFlaw) {
        var reader = ProtobufReader(message)
        var name = UnsafeRawBufferPointer(start: nil, count: 0)
        var value: UnsafeRawBufferPointer?
        while let field = try reader.field() {
            guard let bytes = field.bytes else { continue }
            switch field.number {
            case OTLPField.KeyValue.key: name = bytes
            case OTLPField.KeyValue.value: value = bytes
            default: break
            }
        }
        guard WireText.isValid(name) else { throw .invalidUTF8 }
        self.name = name
        self.value = value
    }
}

extension [Attribute] {
    /// The `KeyValue`s that stand in a message under the number `field`.
    static func read(
        _ message: UnsafeRawBufferPointer, field number: Int, depth: Int = 0
    ) throws(RecordFlaw) -> [Attribute] {
        guard depth < AttributeValue.depthMax else { throw .nestedTooDeep }
        var attributes: [Attribute] = []
        var reader = ProtobufReader(message)
        while let field = try reader.field() {
            guard field.number == number, let bytes = field.bytes else { continue }
            let pair = try AttributePair(bytes)
            let value =
                if let value = pair.value { try AttributeValue.read(value, depth: depth) } else {
                    AttributeValue.empty
                }
            attributes.append(Attribute(try WireText.read(pair.name), value))
        }
        return attributes
    }
}
