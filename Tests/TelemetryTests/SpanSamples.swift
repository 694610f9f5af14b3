import Foundation
import Kernel
import Synchronization

@testable import Telemetry

/// Requests of spans for tests, as JSON and through it as protobuf.
enum SpanSamples {
    static let traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

    static func span(
        _ id: String, _ name: String = "work", attributes: [(String, JSONValue)] = [], more: JSONValue = [:]
    ) -> JSONValue {
        var span = JSONObject([
            .init(name: "traceId", value: .string(traceID)), .init(name: "spanId", value: .string(id)),
            .init(name: "name", value: .string(name)), .init(name: "startTimeUnixNano", value: "1700000000000000000"),
            .init(name: "endTimeUnixNano", value: "1700000000250000000"),
            .init(name: "attributes", value: .array(attributes.map { pair($0.0, $0.1) })),
        ])
        for member in more.object?.members ?? [] { span[member.name] = member.value }
        return .object(span)
    }

    static func pair(_ name: String, _ value: JSONValue) -> JSONValue {
        let any: JSONValue =
            switch value {
            case .string: ["stringValue": value]
            case .bool: ["boolValue": value]
            case .int(let number): ["intValue": .string(String(number))]
            case .double: ["doubleValue": value]
            default: value
            }
        return ["key": .string(name), "value": any]
    }

    static func request(_ spans: [JSONValue], service: String? = "agent-service") -> JSONValue {
        let attributes: [JSONValue] = service.map { [pair("service.name", .string($0))] } ?? []
        return [
            "resourceSpans": [
                [
                    "resource": ["attributes": .array(attributes)],
                    "scopeSpans": [["scope": ["name": "tests", "version": "1"], "spans": .array(spans)]],
                ]
            ]
        ]
    }

    /// What is taken of a request, and what is refused.
    static func read(_ document: JSONValue) throws -> (heads: [SpanHead], flaws: [RecordFlaw]) {
        var flaws: [RecordFlaw] = []
        let bytes = try OTLPJSON.traces(document) { flaws.append($0) }
        let (heads, more) = try read(bytes)
        return (heads, flaws + more)
    }

    static func read(_ bytes: [UInt8]) throws -> (heads: [SpanHead], flaws: [RecordFlaw]) {
        let received = try ReceivedSpans(bytes)
        return (received.items.map(\.head), received.refused.flatMap { Array(repeating: $0.key, count: $0.value) })
    }
}

/// Gives a test a folder of its own, and takes it away.
func withTelemetryFolder<Value>(_ body: (String) async throws -> Value) async throws -> Value {
    let path = FileManager.default.temporaryDirectory.path + "/telemetry-\(UInt64.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}

/// A clock that stands where it was set.
final class SetTime: TimeSource {
    private let time: Mutex<Timestamp>

    init(_ time: Timestamp) { self.time = Mutex(time) }

    func set(_ time: Timestamp) { self.time.withLock { $0 = time } }
    var now: Timestamp { time.withLock { $0 } }
    func sleep(for span: Span) async throws {}
}
