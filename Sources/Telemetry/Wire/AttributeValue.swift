import Foundation
import Kernel

/// The value of an attribute (OpenTelemetry specification, "AnyValue").
public indirect enum AttributeValue: Sendable, Equatable {
    /// Nesting that is read; deeper values are refused with their record.
    static let depthMax = 32

    case empty
    case string(String)
    case bool(Bool)
    case int(Int64)
    case double(Double)
    case array([AttributeValue])
    case map([Attribute])
    case bytes([UInt8])

    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// A whole number, also where it was sent as text or with a fraction of nothing: instrumentations differ.
    public var int: Int64? {
        switch self {
        case .int(let value): value
        case .double(let value): Int64(exactly: value)
        case .string(let text): Int64(text)
        default: nil
        }
    }

    /// As JSON; bytes are base64 (the protocol's JSON mapping).
    public var json: JSONValue {
        switch self {
        case .empty: .null
        case .string(let text): .string(text)
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .double(let value): value.isFinite ? .double(value) : .string("\(value)")
        case .array(let values): .array(values.map(\.json))
        case .map(let members): members.json
        case .bytes(let bytes): .string(Data(bytes).base64EncodedString())
        }
    }
}

/// A name with its value.
public struct Attribute: Sendable, Equatable {
    public let name: String
    public let value: AttributeValue

    public init(_ name: String, _ value: AttributeValue) {
        self.name = name
        self.value = value
    }
}

extension [Attribute] {
    public var json: JSONValue {
        .object(JSONObject(map { .init(name: $0.name, value: $0.value.json) }))
    }

    public subscript(name: String) -> AttributeValue? { first { $0.name == name }?.value }
}
