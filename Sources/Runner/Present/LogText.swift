import Kernel

/// A log record as a line for people.
public enum LogText {
    /// `08:15:30.123 WARNING writer/scribe [search] the message  (order-4711)`; control characters become `·`.
    public static func line(_ record: JSONValue) -> String {
        func text(_ name: String) -> String? { record[name]?.string.flatMap { $0.isEmpty ? nil : $0 } }
        let time = text("timestamp").map { String($0.dropFirst(11).prefix(12)) } ?? ""
        let who = [text("service"), text("agent_id")].compactMap { $0 }.reduce(into: [String]()) { names, name in
            if !names.contains(name) { names.append(name) }
        }
        var words = [time, (text("level") ?? "info").uppercased(), who.joined(separator: "/")]
        if let tool = text("tool") { words.append("[\(tool)]") }
        words.append(text("message") ?? "")
        if let id = text("correlation_id") { words.append(" (\(id))") }
        return Terminal.printable(words.joined(separator: " "))
    }
}

/// The records of the last seconds that were shown already.
public struct LogWindow: Sendable {
    /// How late a record may come and still be shown.
    public static let length = Span.seconds(10)
    /// Records of one answer.
    public static let recordsMax = 5_000

    private var seen: Set<String> = []

    public init(_ shown: [JSONValue]) { seen = Set(shown.map(\.text)) }

    public func start(at now: Timestamp) -> Timestamp { now - Self.length }

    /// Those that were not shown; what is not among the records any more is forgotten.
    public mutating func new(_ records: [JSONValue]) -> [JSONValue] {
        let fresh = records.filter { !seen.contains($0.text) }
        seen = Set(records.map(\.text))
        return fresh
    }
}
