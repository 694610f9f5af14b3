import Kernel

/// How much of what changed in files somebody sees.
///
/// That something changed, and what it is called, is for everybody who reads the event log or a timeline. What the
/// server's own settings, providers, receivers and routes were and are is for those who operate it.
public enum FileChangeSight: Sendable {
    case whole
    /// Without the values that are operators'.
    case outlines

    public init(_ principal: Principal) { self = Permission.operate.admits(principal.role) ? .whole : .outlines }

    /// Members of an event's data that everybody sees; `seq` is a timeline's.
    private static let open: Set<String> = ["seq", "name", "change", "replica", "count"]
    private static let instead = "what it was and is, operators see"

    func seen(_ event: Event) -> Event {
        outline(event.type, event.data).map(event.with(data:)) ?? event
    }

    func seen(_ entry: IncidentEntry) -> IncidentEntry {
        guard let detail = outline(entry.action, entry.detail) else { return entry }
        return IncidentEntry(
            kind: entry.kind, action: entry.action, target: entry.target, actor: entry.actor, at: entry.at,
            detail: detail, event: entry.event)
    }

    /// What is left of an event's data; `nil` for all of it. Where the files are is of no part for everybody.
    private func outline(_ type: String, _ data: JSONValue) -> JSONValue? {
        guard case .outlines = self, let part = FileChangePart(eventType: type), let object = data.object else {
            return nil
        }
        guard part.isForOperators else { return .object(JSONObject(object.members.filter { $0.name != "file" })) }
        let members = object.members.filter { Self.open.contains($0.name) }
        let change = data["change"]?.string ?? FileChange.Verb.changed.rawValue
        return .object(JSONObject(members + [.init(name: "summary", value: .string("\(change); \(Self.instead)"))]))
    }
}
