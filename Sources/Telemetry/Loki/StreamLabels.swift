import Synchronization

/// Which labels tell streams apart: those of few values. Others are metadata of their lines, whatever their sender
/// calls them, or every request would be a stream of its own.
final class StreamLabels: Sendable {
    /// Values of a label; one that has as many is metadata from then on, also after a start.
    static let valuesMax = 100
    /// Names of labels.
    static let namesMax = 200

    /// Labels that have a value for each request, session or task.
    private static let manyValued: Set<String> = [
        "correlation_id", "correlationId", "trace_id", "traceId", "traceID", "span_id", "spanId", "spanID",
        "session_id", "sessionId", "request_id", "requestId", "task_id", "taskId", "user_id", "userId", "message_id",
        "conversation_id", "run_id", "turn", "duration_ms", "uuid", "id",
    ]

    private let values: Mutex<[String: Set<String>]>

    /// - Parameter known: Labels that are kept, with their values.
    init(_ known: [String: Set<String>] = [:]) { values = Mutex(known) }

    /// Takes up labels that are kept, with their values.
    func learn(_ known: [String: Set<String>]) {
        values.withLock { $0.merge(known) { $0.union($1) } }
    }

    /// The labels of a stream, and those that are metadata.
    func divide(
        _ pairs: [(name: String, value: String)]
    ) -> (labels: LogLabels, metadata: [(name: String, value: String)]) {
        var labels = LogLabels()
        var metadata: [(name: String, value: String)] = []
        values.withLock { values in
            for pair in pairs {
                if !Self.manyValued.contains(pair.name), Self.isFew(pair, &values) {
                    labels[pair.name] = pair.value
                } else {
                    metadata.append(pair)
                }
            }
        }
        return (labels, metadata)
    }

    private static func isFew(_ pair: (name: String, value: String), _ values: inout [String: Set<String>]) -> Bool {
        guard let known = values[pair.name] else {
            guard values.count < namesMax else { return false }
            values[pair.name] = [pair.value]
            return true
        }
        guard known.count < valuesMax else { return false }
        values[pair.name]?.insert(pair.value)
        return true
    }

    /// Forgets values, and names, that are the subject's, unless they are only looked for; says how many they are.
    func erase(_ subject: SubjectMatch, isDryRun: Bool) -> Int {
        values.withLock { values in
            var found = 0
            for (name, known) in values {
                if subject.isAnywhere, subject.isMet(by: name) {
                    found += 1
                    if !isDryRun { values[name] = nil }
                    continue
                }
                let gone = known.filter { subject.isMet(by: $0) }
                guard !gone.isEmpty else { continue }
                found += gone.count
                if !isDryRun { values[name] = known.subtracting(gone) }
            }
            return found
        }
    }

    /// Those of labels that are kept which still tell streams apart.
    static func few(_ kept: [String: Set<String>]) -> [String: Set<String>] {
        kept.filter { !manyValued.contains($0.key) && ($0.value.count < valuesMax || isField($0.key)) }
    }

    private static func isField(_ name: String) -> Bool { LogLabel.fields.contains { $0.0 == name } }
}
