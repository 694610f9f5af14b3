import Kernel

/// A change as PagerDuty's Events API v2 takes it at `/v2/change/enqueue`: what was rolled out or switched, told by a
/// pipeline (developer.pagerduty.com, "Send a Change Event"). Nothing fires for it; incidents have it in their
/// timelines and weigh it as a cause.
struct ChangeEvent: Sendable {
    static let eventType = "change.reported"
    /// Links of a change, and bytes of one.
    static let linksMax = 10
    static let linkMax = 2_048

    /// The event's members: `name` (what changed, in a sentence), `source`, `reportedAt`, `link` and the plain members
    /// of `custom_details`.
    let data: JSONValue
    /// The agent that `custom_details` names; the whole fleet is concerned where it is `nil`.
    let agent: String?

    /// Reads the body of a request.
    ///
    /// - Throws: ``Problem`` `invalid`.
    init(_ fields: Fields) throws {
        guard let payload = try fields.optionalFields("payload") else {
            throw Problem.invalid("payload", "it is missing")
        }
        let summary = try payload.string("summary", max: Alert.annotationMax)
        guard !summary.isEmpty else { throw Problem.invalid("payload.summary", "it is empty") }
        var object = JSONObject([.init(name: "name", value: .string(String(summary.prefix(AlertEvent.summaryMax))))])
        if let source = try payload.optionalString("source", max: Alert.labelMax), !source.isEmpty {
            object.append("source", .string(source))
        }
        // As with alerts: a time that cannot be read is the one at which it came.
        if let time = try payload.optionalString("timestamp", max: 100).flatMap(Timestamp.init(rfc3339:)) {
            object.append("reportedAt", .string(time.rfc3339))
        }
        if let link = try Self.links(fields).first { object.append("link", .string(link)) }
        for member in payload.value("custom_details")?.object?.members.prefix(Self.detailsMax) ?? []
        where object[member.name] == nil && member.name.utf8.count <= Self.nameMax {
            switch member.value {
            case .string(let text): object.append(member.name, .string(String(text.prefix(Alert.labelMax))))
            case .int, .double, .bool: object.append(member.name, member.value)
            case .null, .array, .object: continue
            }
        }
        data = .object(object)
        // A pipeline may mean something else by the word: what is no agent's name is none.
        agent = try? payload.optionalFields("custom_details")?.optionalName("agent")
    }

    /// Plain members of `custom_details` that are kept, and bytes of a name of one.
    static let detailsMax = 12
    static let nameMax = 100

    /// Addresses that a reader may follow.
    private static func links(_ fields: Fields) throws -> [String] {
        guard let value = fields.value("links"), value != .null else { return [] }
        guard let items = value.array, items.count <= linksMax else {
            throw Problem.invalid("links", "at most \(linksMax) of {href, text} are expected")
        }
        return items.compactMap { item in
            guard let link = item["href"]?.string, link.utf8.count <= linkMax else { return nil }
            return link.hasPrefix("https://") || link.hasPrefix("http://") ? link : nil
        }
    }
}

extension AlertEventService {
    /// Writes a change into the log of events.
    func take(_ change: ChangeEvent, by principal: Principal, in transaction: Transaction) throws {
        try events.append(
            EventDraft(ChangeEvent.eventType, actor: principal.actor, agent: change.agent, data: change.data),
            in: transaction)
    }
}
