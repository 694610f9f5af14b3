import Kernel
import Telemetry

/// Opens incidents, lets alerts join them, and writes down what happens.
public struct IncidentService: Sendable, AlertFollower {
    /// Entries of one incident that are read, and kept.
    public static let entriesMax = 5_000
    /// Of those, entries that nobody wrote by hand: the rest is for people.
    static let automaticMax: Int64 = 4_000
    /// Alerts with this label open nothing: those that tell of incidents themselves would go round in circles.
    static let optOut = (label: "incident", value: "none")
    /// Events before the first one of an incident that its timeline may begin with.
    static let lookBackEventsMax: Int64 = 50_000
    /// Open incidents that are looked at when an alert looks for its own.
    private static let candidatesMax = 50
    private static let automaticKinds = Set(IncidentChange.Kind.allCases.map(\.rawValue) + ["alert"])

    let store = IncidentStore()
    let story = IncidentEntryStore()
    let links = IncidentLinkStore()
    let postmortems = PostmortemStore()
    let events: Events
    let audit: AuditService
    let world: World
    let followers: [any IncidentFollower]
    let surroundings: IncidentSurroundings
    let policy: IncidentPolicy
    let verifications: [any IncidentVerification]
    /// `nil` where nobody knows of runbooks.
    let runbooks: RunbookShelf?

    public init(
        events: Events, audit: AuditService, world: World, followers: [any IncidentFollower] = [],
        surroundings: IncidentSurroundings = IncidentSurroundings(), policy: IncidentPolicy = IncidentPolicy(),
        verifications: [any IncidentVerification] = [], runbooks: RunbookShelf? = nil
    ) {
        self.runbooks = runbooks
        (self.events, self.audit, self.world) = (events, audit, world)
        (self.followers, self.surroundings) = (followers, surroundings)
        (self.policy, self.verifications) = (policy, verifications)
    }

    // MARK: Alerts

    public func fired(_ alert: Alert, in transaction: Transaction) throws -> String? {
        guard alert.labels[Self.optOut.label] != Self.optOut.value,
            let severity = Incident.Severity(alert: alert.severity)
        else { return nil }
        let about = IncidentGrouping.ties(of: alert)
        let near = try surroundings.near(IncidentGrouping.subjects(of: alert), at: world.now, in: transaction)
        if let known = try place(of: alert, about, near, in: transaction) {
            return try join(known.incident, alert, severity, near, because: known.why, in: transaction)
        }
        let since = world.now - policy.reopenWithin
        if let known = try store.resolved(having: alert.fingerprint, since: since, in: transaction) {
            let reopened = try reopen(
                known, for: alert, because: "\(alert.name) came back", by: .system, in: transaction)
            return try join(reopened, alert, severity, near, because: "it came back", in: transaction)
        }
        var incident = Incident(
            id: Identifier(world), title: Self.title(of: alert), severity: severity,
            mode: IncidentGrouping.mode(of: alert), kind: IncidentGrouping.kind(of: alert),
            groupKey: IncidentGrouping.key(of: alert), subjects: IncidentGrouping.subjects(of: alert),
            milestones: [.detected: world.now],
            openedBy: Principal.system.actor)
        try insert(&incident, near: near, in: transaction)
        try take(alert, into: incident.id, in: transaction)
        try record(.alert("fired", alert, at: world.now), in: incident.id, transaction)
        try note("incident.opened", incident, by: .system, in: transaction)
        for follower in followers { try follower.opened(incident, by: alert, in: transaction) }
        return incident.id.text
    }

    private static func title(of alert: Alert) -> String {
        String((alert.summary.isEmpty ? alert.name : alert.summary).prefix(Incident.titleMax))
    }

    func insert(_ incident: inout Incident, near: [String], in transaction: Transaction) throws {
        let last = try events.store.lastSeq(in: transaction)
        let since = min(incident.begin, world.now) - policy.lookBack
        let from = try events.store.firstSeq(from: since, in: transaction) ?? last + 1
        incident.seenEvent = max(from - 1, last - Self.lookBackEventsMax, 0)
        try store.insert(incident, in: transaction)
        try link(incident, near: near, in: transaction)
    }

    /// Ties what an incident is about, and what is near to that, to it.
    func link(_ incident: Incident, near: [String], in transaction: Transaction) throws {
        let hasAgent = incident.subjects.contains { $0.hasPrefix("agent:") }
        let kinds = hasAgent ? incident.subjects.filter { $0.hasPrefix("agent_type:") } : []
        try links.link(
            incident.subjects.filter { !kinds.contains($0) }, isNear: false, to: incident.id, in: transaction)
        try links.link(near + kinds, isNear: true, to: incident.id, in: transaction)
    }

    /// The open incident that an alert belongs to, and why.
    private func place(
        of alert: Alert, _ about: [String], _ near: [String], in transaction: Transaction
    ) throws -> (incident: Incident, why: String)? {
        if let known = try store.open(having: alert.fingerprint, in: transaction) {
            return (known, "it was there before")
        }
        if let same = try store.open(groupKey: IncidentGrouping.key(of: alert), in: transaction),
            try hasRoom(same, for: alert, in: transaction)
        {
            return (same, "it is the same condition")
        }
        let ties = try links.open(about: about, near: near, limit: Self.candidatesMax, in: transaction)
        let known = Dictionary(
            try store.incidents(Array(Set(ties.map(\.id))), in: transaction).map { ($0.id.text, $0) }
        ) { first, _ in first }
        for tie in ties {
            guard let incident = known[tie.id], isLively(incident), incident.isOf(alert.drill),
                try hasRoom(incident, for: alert, in: transaction)
            else { continue }
            let isOwn = about.contains(tie.subject)
            return (
                incident, isOwn && !tie.isNear ? "both are about \(tie.subject)" : "\(tie.subject) ties them together"
            )
        }
        guard try store.openCount(in: transaction) >= Incident.openMax,
            let newest = try store.open(limit: Self.candidatesMax, in: transaction).first(where: {
                $0.isOf(alert.drill)
            })
        else { return nil }
        return (newest, "\(Incident.openMax) incidents are open, as many as there may be")
    }

    private func isLively(_ incident: Incident) -> Bool {
        incident.quietSince.map { world.now - $0 < IncidentPolicy.tiesWithin } ?? true
    }

    private func hasRoom(_ incident: Incident, for alert: Alert, in transaction: Transaction) throws -> Bool {
        if try links.alert(alert.fingerprint, of: incident.id, in: transaction) != nil { return true }
        return try links.alertCount(of: incident.id, in: transaction) < Incident.alertsMax
    }

    private func join(
        _ known: Incident, _ alert: Alert, _ severity: Incident.Severity, _ near: [String], because why: String,
        in transaction: Transaction
    ) throws -> String {
        var incident = known
        let isWorse = severity > incident.severity
        incident.severity = max(incident.severity, severity)
        incident.subjects = IncidentGrouping.merged(incident.subjects, IncidentGrouping.subjects(of: alert))
        if incident.mode == nil, let mode = IncidentGrouping.mode(of: alert) {
            incident.mode = mode
            incident.kind = incident.kind ?? mode.kind
        }
        incident.kind = incident.kind ?? IncidentGrouping.kind(of: alert)
        incident.quietSince = nil
        let isBack = incident.milestones[.mitigated] != nil
        for milestone in [Incident.Milestone.mitigated, .verified] { incident.milestones[milestone] = nil }
        try save(incident, in: transaction)
        try link(incident, near: near, in: transaction)
        let times = try take(alert, into: incident.id, in: transaction)
        if times <= IncidentPolicy.flapsFrom {
            let entry = IncidentEntry.alert(
                times == IncidentPolicy.flapsFrom ? "flapping" : "fired", alert, at: world.now)
            try record(entry.with("because", .string(why)), in: incident.id, transaction)
        }
        if isBack, times <= IncidentPolicy.flapsFrom {
            try mark("regressed", incident, by: .system, why: "\(alert.name) fires", in: transaction)
        }
        if times == 1 || isWorse { try note("incident.joined", incident, by: .system, in: transaction) }
        for follower in followers { try follower.joined(incident, by: alert, in: transaction) }
        return incident.id.text
    }

    /// Counts that the alert began within the incident; returns how often it did.
    @discardableResult
    func take(_ alert: Alert, into id: Identifier<Incident>, in transaction: Transaction) throws -> Int64 {
        var row =
            try links.alert(alert.fingerprint, of: id, in: transaction)
            ?? IncidentAlert(
                fingerprint: alert.fingerprint, name: alert.name, severity: alert.severity, summary: alert.summary,
                labels: alert.labels, times: 0, activeAt: alert.activeAt, firstAt: alert.startsAt,
                lastAt: alert.startsAt)
        row.times += 1
        row.lastAt = max(alert.startsAt, row.lastAt)
        row.endedAt = nil
        try links.put(row, of: id, in: transaction)
        return row.times
    }

    public func resolved(_ alert: Alert, in transaction: Transaction) throws {
        guard let id = alert.incidentID.map({ Identifier<Incident>(stored: $0) }),
            var incident = try store.incident(id, in: transaction),
            var row = try links.alert(alert.fingerprint, of: id, in: transaction)
        else { return }
        let ended = alert.endsAt ?? world.now
        row.endedAt = ended
        try links.put(row, of: id, in: transaction)
        if row.times < IncidentPolicy.flapsFrom {
            try record(.alert("resolved", alert, at: ended), in: id, transaction)
        }
        guard try !links.isFiring(id, in: transaction) else { return }
        incident.quietSince = world.now
        try save(incident, in: transaction)
        if incident.isOpen { try reach(.mitigated, of: id, by: .system, in: transaction) }
    }

    // MARK: What happens

    /// Adds to an incident's timeline, or to that of the one that it became a part of. What comes by itself is left out
    /// where there is too much of it.
    public func record(
        _ entry: IncidentEntry, in id: Identifier<Incident>, _ transaction: Transaction
    ) throws {
        let id = try store.survivor(of: id, in: transaction)
        let count = try story.count(id, in: transaction)
        let isAutomatic = Self.automaticKinds.contains(entry.kind)
        guard count < (isAutomatic ? Self.automaticMax : Int64(Self.entriesMax)) else { return }
        try story.append(entry, to: id, in: transaction)
        let isAct = entry.kind == "containment" || entry.kind == "runbook"
        if isAct || (!isAutomatic && entry.actor != Principal.system.actor) {
            try store.setActed(id, at: entry.at, in: transaction)
        }
    }

    /// Writes a milestone, or that one was lost again, into the timeline and the log.
    func mark(
        _ action: String, _ incident: Incident, by principal: Principal, why: String = "", in transaction: Transaction
    ) throws {
        let detail: JSONValue = why.isEmpty ? [:] : ["note": .string(why)]
        try record(
            IncidentEntry(
                kind: "milestone", action: action, target: incident.target, actor: principal.actor, at: world.now,
                detail: detail), in: incident.id, transaction)
        try note("incident.\(action)", incident, by: principal, in: transaction)
    }

    func note(
        _ type: String, _ incident: Incident, by principal: Principal, _ more: [(String, JSONValue)] = [],
        in transaction: Transaction
    ) throws {
        var data = JSONObject([
            .init(name: "incidentId", value: incident.id.json), .init(name: "title", value: .string(incident.title)),
            .init(name: "severity", value: .string(incident.severity.rawValue)),
            .init(name: "state", value: .string(incident.state.rawValue)),
            .init(name: "subjects", value: .list(incident.subjects)),
        ])
        for (name, value) in more { data.append(name, value) }
        try events.append(EventDraft(type, actor: principal.actor, data: .object(data)), in: transaction)
    }

    // MARK: Looking

    public func incident(_ id: Identifier<Incident>, in transaction: Transaction) throws -> Incident? {
        try store.incident(id, in: transaction)
    }

    /// Open incidents that name a subject, such as `agent:writer`.
    func open(about subject: String, in transaction: Transaction) throws -> [Incident] {
        try store.open(limit: Int(Incident.openMax), in: transaction).filter { $0.subjects.contains(subject) }
    }

    /// The incident of an id from outside.
    func known(_ text: String, in transaction: Transaction) throws -> Incident {
        guard let id = Identifier<Incident>(text), let incident = try store.incident(id, in: transaction) else {
            throw Problem.notFound("incident", text)
        }
        return incident
    }

    /// The incident of an id from outside, unless it became a part of another one.
    func whole(_ text: String, in transaction: Transaction) throws -> Incident {
        let incident = try known(text, in: transaction)
        try incident.checkIsWhole()
        return incident
    }

    /// In the order in which they happened.
    public func entries(of id: Identifier<Incident>, in transaction: Transaction) throws -> [IncidentEntry] {
        try story.entries(of: id, limit: Self.entriesMax, in: transaction)
    }
}

extension IncidentEntry {
    /// The same, saying one thing more.
    func with(_ name: String, _ value: JSONValue) -> IncidentEntry {
        var object = detail.object ?? JSONObject()
        object[name] = value
        return IncidentEntry(
            kind: kind, action: action, target: target, actor: actor, at: at, detail: .object(object), event: event)
    }
}
