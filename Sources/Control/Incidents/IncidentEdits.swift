import Kernel
import Telemetry

/// An incident as somebody asks for it.
struct IncidentDraft: Sendable {
    /// Subjects that somebody may name.
    static let subjectsMax = 50
    static let kinds = Set(IncidentGrouping.subjectLabels).subtracting(["scope"])

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
        var incident = try known(text, in: transaction)
        try EntityTag.check(ifMatch, against: incident.etag, of: "the incident")
        var detail = JSONObject()
        if let title = edit.title { (incident.title, detail["title"]) = (title, .string(title)) }
        if let severity = edit.severity {
            (incident.severity, detail["severity"]) = (severity, .string(severity.rawValue))
        }
        if let mode = edit.mode {
            (incident.mode, incident.kind) = (mode, mode.kind)
            detail["mode"] = .string(mode.rawValue)
        }
        if let kind = edit.kind { (incident.kind, detail["kind"]) = (kind, .string(kind.rawValue)) }
        guard !detail.isEmpty else { return incident }
        return try keep(&incident, "changed", .object(detail), by: principal, in: transaction)
    }

    /// What stakeholders are told.
    func tell(
        _ text: String, _ words: String, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        var incident = try known(text, in: transaction)
        try EntityTag.check(ifMatch, against: incident.etag, of: "the incident")
        guard incident.status?.text != words else { return incident }
        incident.status = IncidentStatus(text: words, at: world.now, by: principal.actor)
        return try keep(&incident, "status", ["text": .string(words)], by: principal, in: transaction)
    }

    private func keep(
        _ incident: inout Incident, _ action: String, _ detail: JSONValue, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident {
        incident.revision += 1
        try store.update(incident, in: transaction)
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
        let incident = try known(text, in: transaction)
        guard try store.entryCount(incident.id, in: transaction) < Int64(Self.entriesMax) else {
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

    // MARK: Merging and splitting

    /// Makes one incident a part of another: its alerts, subjects and timeline go there.
    func merge(
        _ text: String, into other: String, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        let incident = try known(text, in: transaction)
        var target = try known(other, in: transaction)
        if incident.mergedInto == target.id.text { return target }
        guard incident.id != target.id else { throw Problem.invalid("into", "it is the incident itself") }
        guard incident.isOpen, target.isOpen, incident.mergedInto == nil else {
            throw Problem(
                .conflict, "Only open incidents are merged.", hint: "Reopen the one that is resolved, or leave them.")
        }
        let room = Incident.alertsMax - (try links.alertCount(of: target.id, in: transaction))
        let alerts = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        guard alerts.count <= room else {
            throw Problem(.conflict, "Together they have more than \(Incident.alertsMax) alerts.")
        }
        for alert in alerts { try move(alert, from: incident.id, to: target.id, in: transaction) }
        target.subjects = IncidentGrouping.merged(target.subjects, incident.subjects)
        target.severity = max(target.severity, incident.severity)
        target.mode = target.mode ?? incident.mode
        target.kind = target.kind ?? incident.kind
        target.milestones[.detected] = min(target.begin, incident.begin)
        if try links.isFiring(target.id, in: transaction) {
            target.quietSince = nil
            for milestone in [Incident.Milestone.mitigated, .verified] { target.milestones[milestone] = nil }
        }
        let near = try links.near(incident.id, limit: IncidentGrouping.nearMax, in: transaction)
        try store.moveEntries(from: incident.id, to: target.id, in: transaction)
        try close(incident, into: target.id, by: principal, in: transaction)
        try link(target, near: near, in: transaction)
        return try keep(&target, "merged", ["from": incident.id.json], by: principal, in: transaction)
    }

    private func close(
        _ incident: Incident, into other: Identifier<Incident>, by principal: Principal, in transaction: Transaction
    ) throws {
        var incident = incident
        incident.mergedInto = other.text
        incident.milestones[.resolved] = world.now
        incident.revision += 1
        try store.update(incident, in: transaction)
        try links.unlink(incident.id, in: transaction)
        try record(
            IncidentEntry(
                kind: "act", action: "merged", target: "incident:\(other.text)", actor: principal.actor, at: world.now),
            in: incident.id, transaction)
        // Who acts on it has to stop, as at any end.
        for follower in followers { try follower.reached(.resolved, incident, in: transaction) }
    }

    /// Takes alerts out of an incident into one of their own.
    func split(
        _ text: String, alerts fingerprints: [String], title: String?, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident {
        let incident = try known(text, in: transaction)
        let all = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        let moved = all.filter { fingerprints.contains($0.fingerprint) }
        guard incident.isOpen, !moved.isEmpty, moved.count < all.count else {
            throw Problem(
                .conflict, "Some but not all alerts of an open incident can be split off.",
                hint: "Name alerts by `fingerprint`, as GET /api/v1/incidents/\(incident.id.text) shows them.",
                field: "alerts")
        }
        let id = Identifier<Incident>(world)
        let subjects = moved.flatMap { alert in
            IncidentGrouping.subjectLabels.compactMap { name in
                alert.labels[name].isEmpty ? nil : "\(name):\(alert.labels[name])"
            }
        }
        let severity = moved.compactMap { Incident.Severity(alert: $0.severity) }.max() ?? incident.severity
        var other = Incident(
            id: id, title: title ?? moved[0].summary, severity: severity, mode: incident.mode,
            groupKey: "by hand \(id.text)", subjects: IncidentGrouping.merged([], subjects),
            milestones: [.detected: moved.map(\.firstAt).min() ?? world.now], openedBy: principal.actor)
        if other.title.isEmpty { other.title = moved[0].name }
        // What is near to both would bring them together again.
        try insert(&other, near: [], in: transaction)
        for alert in moved { try move(alert, from: incident.id, to: id, in: transaction) }
        try note("incident.opened", other, by: principal, in: transaction)
        for follower in followers { try follower.opened(other, by: nil, in: transaction) }
        for one in [other, incident] {
            var one = one
            if try !links.isFiring(one.id, in: transaction) { one.quietSince = one.quietSince ?? world.now }
            _ = try keep(
                &one, "split", ["from": incident.id.json, "to": id.json], by: principal, in: transaction)
        }
        return try known(id.text, in: transaction)
    }

    private func move(
        _ alert: IncidentAlert, from id: Identifier<Incident>, to other: Identifier<Incident>,
        in transaction: Transaction
    ) throws {
        try links.remove(alert.fingerprint, of: id, in: transaction)
        var alert = alert
        if let known = try links.alert(alert.fingerprint, of: other, in: transaction) {
            alert.times += known.times
            alert.lastAt = max(alert.lastAt, known.lastAt)
        }
        try links.put(alert, of: other, in: transaction)
    }
}
