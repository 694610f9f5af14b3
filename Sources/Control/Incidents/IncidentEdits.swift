import Kernel
import Telemetry

/// An incident as somebody asks for it.
struct IncidentDraft: Sendable {
    /// Subjects that somebody may name.
    static let subjectsMax = 50
    static let kinds = Set(IncidentGrouping.subjectLabels).subtracting(["scope", DrillNames.label])

    let title: String
    let severity: Incident.Severity
    let mode: FailureMode?
    let subjects: [String]
    let note: String

    init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["title", "severity", "subjects", "note", "mode"])
        title = try Self.title(fields)
        severity = try fields.choice("severity", Incident.Severity.self)
        mode = try fields.optionalChoice("mode", FailureMode.self)
        subjects = try Self.subjects(fields)
        note = try fields.optionalString("note", max: Incident.noteMax) ?? ""
    }

    static func title(_ fields: Fields) throws -> String {
        let text = try fields.string("title", max: Incident.titleMax)
        guard !text.allSatisfy(\.isWhitespace) else { throw Problem.invalid("title", "it is empty") }
        return text
    }

    private static func subjects(_ fields: Fields) throws -> [String] {
        var subjects: [String] = []
        for (index, item) in (try fields.optionalArray("subjects", max: subjectsMax) ?? []).enumerated() {
            let path = "subjects/\(index)"
            guard let text = item.string, let colon = text.firstIndex(of: ":"),
                kinds.contains(String(text[..<colon]))
            else {
                throw Problem.invalid(
                    path, "a kind and a name such as agent:writer are expected",
                    hint: "Kinds are \(kinds.sorted().joined(separator: ", ")).")
            }
            let name = try Fields.checkedName(
                String(text[text.index(after: colon)...]), path: path, limits: fields.limits)
            let subject = "\(text[..<colon]):\(name)"
            if !subjects.contains(subject) { subjects.append(subject) }
        }
        return subjects
    }
}

/// What people do to incidents, each act audited.
extension IncidentService {
    func open(_ draft: IncidentDraft, by principal: Principal, in transaction: Transaction) throws -> Incident {
        guard try store.openCount(in: transaction) < Incident.openMax else {
            throw Problem(
                .conflict, "\(Incident.openMax) incidents are open, as many as there may be.",
                hint: "Resolve or merge some.")
        }
        let id = Identifier<Incident>(world)
        var incident = Incident(
            id: id, title: draft.title, severity: draft.severity, mode: draft.mode, groupKey: "by hand \(id.text)",
            subjects: draft.subjects, milestones: [.detected: world.now], openedBy: principal.actor)
        let near = try surroundings.near(draft.subjects, at: world.now, in: transaction)
        try insert(&incident, near: near, in: transaction)
        try record(
            IncidentEntry(
                kind: "act", action: "opened", target: incident.target, actor: principal.actor, at: world.now,
                detail: draft.note.isEmpty ? [:] : ["text": .string(draft.note)]), in: id, transaction)
        try note("incident.opened", incident, by: principal, in: transaction)
        try audit.record(
            "incident.opened", by: principal, target: incident.target,
            detail: ["title": .string(draft.title), "severity": .string(draft.severity.rawValue)], in: transaction)
        for follower in followers { try follower.opened(incident, by: nil, in: transaction) }
        return incident
    }

    /// What a person may set of an incident; `nil` leaves it.
    struct Edit: Sendable {
        var title: String?
        var severity: Incident.Severity?
        var mode: FailureMode?
        var kind: FailureKind?
    }

    func edit(
        _ text: String, _ edit: Edit, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        var incident = try whole(text, in: transaction)
        try EntityTag.check(ifMatch, against: incident.etag, of: "the incident")
        var detail = JSONObject()
        if let title = edit.title, title != incident.title {
            (incident.title, detail["title"]) = (title, .string(title))
        }
        if let severity = edit.severity, severity != incident.severity {
            (incident.severity, detail["severity"]) = (severity, .string(severity.rawValue))
        }
        if let mode = edit.mode, mode != incident.mode {
            (incident.mode, incident.kind) = (mode, mode.kind)
            detail["mode"] = .string(mode.rawValue)
        }
        if let kind = edit.kind, kind != incident.kind {
            (incident.kind, detail["kind"]) = (kind, .string(kind.rawValue))
        }
        guard !detail.isEmpty else { return incident }
        let kept = try keep(&incident, "changed", .object(detail), by: principal, in: transaction)
        if detail["severity"] != nil, !kept.isOpen { try weighPostmortem(of: kept, in: transaction) }
        if edit.severity != nil || edit.mode != nil || edit.kind != nil {
            for follower in followers { try follower.changed(kept, by: principal, in: transaction) }
        }
        return kept
    }

    /// What stakeholders are told.
    func tell(
        _ text: String, _ words: String, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        var incident = try whole(text, in: transaction)
        try EntityTag.check(ifMatch, against: incident.etag, of: "the incident")
        guard incident.status?.text != words else { return incident }
        incident.status = IncidentStatus(text: words, at: world.now, by: principal.actor)
        return try keep(&incident, "status", ["text": .string(words)], by: principal, in: transaction)
    }

    /// Writes an edit, and that it was made.
    func keep(
        _ incident: inout Incident, _ action: String, _ detail: JSONValue, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident {
        incident.revision += 1
        try save(incident, in: transaction)
        try record(
            IncidentEntry(
                kind: "act", action: action, target: incident.target, actor: principal.actor, at: world.now,
                detail: detail), in: incident.id, transaction)
        try note("incident.\(action)", incident, by: principal, in: transaction)
        try audit.record("incident.\(action)", by: principal, target: incident.target, detail: detail, in: transaction)
        return incident
    }

    /// Writes a note into the timeline.
    func remark(_ text: String, _ words: String, by principal: Principal, in transaction: Transaction) throws
        -> Incident
    {
        let incident = try whole(text, in: transaction)
        guard try story.count(incident.id, in: transaction) < Int64(Self.entriesMax) else {
            throw Problem(
                .conflict, "The timeline has \(Self.entriesMax) entries, as many as there may be.",
                hint: "Write it into the postmortem.")
        }
        try record(
            IncidentEntry(
                kind: "note", action: "noted", target: incident.target, actor: principal.actor, at: world.now,
                detail: ["text": .string(words)]), in: incident.id, transaction)
        try note("incident.noted", incident, by: principal, in: transaction)
        try audit.record("incident.noted", by: principal, target: incident.target, in: transaction)
        return incident
    }
}
