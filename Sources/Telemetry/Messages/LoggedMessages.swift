import Kernel

/// Messages of a model call that came as log records of their own, as OpenTelemetry's conventions have them from 1.37
/// on ("Semantic conventions for generative AI events"): they name their span, and the span says nothing.
enum LoggedMessages {
    /// Log records of one span that are looked at.
    static let recordsMax = 1_000
    /// How long after its span a record may have been written, in nanoseconds: an answer that is streamed is told at
    /// its end.
    static let lateMax: Int64 = 60 * 1_000_000_000
    /// How long the look for them takes at most.
    static let searchMax = Duration.seconds(1)

    private static let details = "gen_ai.client.inference.operation.details"

    /// The records of a span.
    static func query(_ head: SpanHead) -> LogQuery {
        var query = LogQuery()
        query.id = head.traceID.description
        let (start, _) = head.startedAt.subtractingReportingOverflow(lateMax)
        let (end, isOver) = head.endedAt.addingReportingOverflow(lateMax)
        query.times = max(0, start)..<(isOver ? .max : max(end, start + 1))
        query.conditions = [.line(.contains("gen_ai."))]
        query.isNewestFirst = false
        query.limit = recordsMax
        return query
    }

    /// A record as the event that it would be in its span; `nil` for one of another span, and for one that tells no
    /// messages.
    static func event(_ record: LogRecord, of head: SpanHead) -> SpanDetail.Event? {
        guard record.traceID.flatMap({ TraceID($0) }) == head.traceID,
            record.spanID.flatMap({ SpanID($0) }) == head.spanID
        else { return nil }
        let name = record.attributes["event.name"]?.string ?? record.message
        guard EventMessage.isTold(by: name) || name == details else { return nil }
        var event = SpanDetail.Event()
        event.time = record.time
        event.name = name
        event.attributes = record.attributes.members.map { Attribute($0.name, AttributeValue($0.value)) }
        guard record.message != name, !record.message.isEmpty else { return event }
        // What belongs to all messages at once stands in its members.
        if name == details, let body = MessageReader.lifted(.string(record.message)).object {
            event.attributes += body.members.map { Attribute($0.name, AttributeValue($0.value)) }
        } else {
            event.attributes.append(Attribute("body", .string(record.message)))
        }
        return event
    }
}

extension SpanDetail {
    /// Whether a side of it has no messages.
    var lacksMessages: Bool {
        let content = SpanContent(self)
        return content.input == nil || content.output == nil
    }
}

extension AttributeValue {
    /// Of what came as JSON.
    init(_ value: JSONValue) {
        self =
            switch value {
            case .null: .empty
            case .bool(let value): .bool(value)
            case .int(let value): .int(value)
            case .double(let value): .double(value)
            case .string(let text): .string(text)
            case .array(let items): .array(items.map { AttributeValue($0) })
            case .object(let object): .map(object.members.map { Attribute($0.name, AttributeValue($0.value)) })
            }
    }
}
