import Kernel

/// Where a subject (a person, mostly: a user's id, a session's, an address) stands in records.
///
/// A record is the subject's where the whole value of anything in it is the subject: of an attribute of the span, its
/// resource, its events and links, at any depth and whatever its name; of a field or label of a log record; a whole
/// message. Letters count as they are. With ``isAnywhere`` a part of a text suffices, and names of attributes count
/// too.
public struct SubjectMatch: Sendable {
    /// Characters of a subject. Shorter ones are anybody's.
    public static let charactersRange = 3...256

    public let text: String
    public let isAnywhere: Bool
    private let needle: TextNeedle
    /// Where it is a number: senders may have sent it as one.
    private let number: Int64?

    public init(_ text: String, isAnywhere: Bool = false) {
        self.text = text
        self.isAnywhere = isAnywhere
        needle = TextNeedle(text)
        number = Int64(text).flatMap { String($0) == text ? $0 : nil }
    }

    func isMet(by other: String?) -> Bool {
        guard let other else { return false }
        guard isAnywhere else { return other.utf8.elementsEqual(text.utf8) }
        return needle.isFound(in: Array(other.utf8)[...])
    }

    /// The names of what has the subject: attributes and fields. Empty for a record that is not the subject's.
    func places(in record: Archive.Record) throws -> Set<String> {
        switch record {
        case .span(let span): places(in: try span.detail())
        case .log(let log): places(in: log)
        }
    }

    func places(in span: SpanDetail) -> Set<String> {
        var found: Set<String> = []
        let head = span.head
        let texts: [(String, String?)] = [
            ("name", span.name), ("name", head.name), ("statusMessage", span.statusMessage), ("service", head.service),
            ("agent", head.agent), ("session", head.session), ("correlationId", head.correlationID),
            ("task", head.task), ("model", head.model), ("provider", head.provider), ("tool", head.tool),
            ("scope", span.scopeName), ("scope", span.scopeVersion), ("traceId", head.traceID.description),
        ]
        for (name, text) in texts where isMet(by: text) { found.insert(name) }
        add(span.attributes, to: &found)
        add(span.resource, to: &found)
        for event in span.events {
            if isMet(by: event.name) { found.insert("event") }
            add(event.attributes, to: &found)
        }
        for link in span.links { add(link.attributes, to: &found) }
        return found
    }

    func places(in log: LogRecord) -> Set<String> {
        var found: Set<String> = []
        let texts: [(String, String?)] = [
            ("message", log.message), ("service", log.service), ("logger", log.logger),
            ("correlation_id", log.correlationID), ("agent_id", log.agent), ("session_id", log.session),
            ("tool", log.tool), ("trace_id", log.traceID), ("span_id", log.spanID), ("level", log.level),
        ]
        for (name, text) in texts where isMet(by: text) { found.insert(name) }
        for member in log.attributes.members where isIn(member.value) || isAnywhere && isMet(by: member.name) {
            found.insert(member.name)
        }
        for (name, value) in log.labels.pairs where isMet(by: value) || isAnywhere && isMet(by: name) {
            found.insert(name)
        }
        return found
    }

    private func add(_ attributes: [Attribute], to found: inout Set<String>) {
        for attribute in attributes where isIn(attribute.value) || isAnywhere && isMet(by: attribute.name) {
            found.insert(attribute.name)
        }
    }

    private func isIn(_ value: AttributeValue) -> Bool {
        switch value {
        case .string(let text): isMet(by: text)
        case .int(let int): isSame(int)
        case .array(let values): values.contains(where: isIn)
        case .map(let members): members.contains { isIn($0.value) || isAnywhere && isMet(by: $0.name) }
        case .bytes(let bytes): isMet(by: String(decoding: bytes, as: UTF8.self))
        case .empty, .bool, .double: false
        }
    }

    private func isIn(_ value: JSONValue) -> Bool {
        if let text = value.string { return isMet(by: text) }
        if let int = value.int { return isSame(int) }
        if let values = value.array { return values.contains(where: isIn) }
        return value.object?.members.contains { isIn($0.value) || isAnywhere && isMet(by: $0.name) } ?? false
    }

    private func isSame(_ int: Int64) -> Bool { isAnywhere ? isMet(by: String(int)) : int == number }

    /// Whether a series is the subject's: a label's value has it.
    func isMet(by labels: LabelSet) -> Bool {
        labels.pairs.contains { $0.name != LabelSet.metricName && isMet(by: $0.value) }
    }
}
