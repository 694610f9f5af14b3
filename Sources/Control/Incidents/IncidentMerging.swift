import Kernel
import Telemetry

/// Making two incidents one, and one two. All that belongs to the one goes along: alerts, the timeline, action items,
/// traces, and what followers keep, such as containments, runs and escalations.
extension IncidentService {
    /// Makes one incident a part of another. The first one is over then, and says where it went.
    func merge(
        _ text: String, into other: String, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        let incident = try known(text, in: transaction)
        let target = try known(other, in: transaction)
        guard incident.id != target.id else { throw Problem.invalid("into", "it is the incident itself") }
        if let survivor = incident.mergedInto, survivor == target.mergedInto ?? target.id.text {
            return try known(survivor, in: transaction)
        }
        guard incident.drill == target.drill else {
            throw Problem(
                .conflict, "A drill and the fleet never share an incident.",
                hint: "Leave them apart; a drill ends soon.")
        }
        guard incident.isOpen, target.isOpen else {
            throw Problem(
                .conflict, "Only open incidents are merged.", hint: "Reopen the one that is resolved, or leave them.",
                members: JSONObject([
                    .init(name: "mergedInto", value: .of(incident.mergedInto ?? target.mergedInto))
                ]))
        }
        try checkRoom(incident, target, in: transaction)
        var survivor = try takeAlerts(of: incident, into: target, in: transaction)
        let left = try moveStory(from: incident.id, to: target.id, in: transaction)
        try links.moveTraces(from: incident.id, to: target.id, in: transaction)
        try postmortems.moveItems(from: incident.id, to: target.id, in: transaction)
        try store.rewind(target.id, to: incident.seenEvent, in: transaction)
        try store.leadOn(from: incident.id, to: target.id, in: transaction)
        let near = try links.near(incident.id, limit: IncidentGrouping.nearMax, in: transaction)
        try close(incident, into: target.id, left: left, by: principal, in: transaction)
        try link(survivor, near: near, in: transaction)
        survivor = try keep(&survivor, "merged", ["from": incident.id.json], by: principal, in: transaction)
        let move = IncidentMove(from: incident, to: survivor, part: nil)
        for follower in followers {
            try follower.moved(move, in: transaction)
            try follower.changed(survivor, by: principal, in: transaction)
        }
        return try known(target.id.text, in: transaction)
    }

    private func checkRoom(_ incident: Incident, _ target: Incident, in transaction: Transaction) throws {
        let alerts = try [incident, target].reduce(0) { $0 + (try links.alertCount(of: $1.id, in: transaction)) }
        guard alerts <= Incident.alertsMax else {
            throw Problem(
                .conflict, "Together they have more than \(Incident.alertsMax) alerts.", hint: "Leave them apart.")
        }
        let items = try [incident, target].reduce(0) {
            $0 + (try postmortems.items(of: $1.id, in: transaction).count)
        }
        guard Int64(items) <= ActionItem.itemsMax else {
            throw Problem(
                .conflict, "Together they have more than \(ActionItem.itemsMax) action items.",
                hint: "Leave them apart.")
        }
    }

    /// What the target is with the alerts, subjects and times of the other.
    private func takeAlerts(
        of incident: Incident, into target: Incident, in transaction: Transaction
    ) throws -> Incident {
        for alert in try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction) {
            try move(alert, from: incident.id, to: target.id, in: transaction)
        }
        try AlertService.move(nil, ofIncident: incident.id.text, to: target.id.text, in: transaction)
        var target = target
        target.subjects = IncidentGrouping.merged(target.subjects, incident.subjects)
        target.severity = max(target.severity, incident.severity)
        target.mode = target.mode ?? incident.mode
        target.kind = target.kind ?? incident.kind
        target.milestones[.detected] = min(target.begin, incident.begin)
        // Somebody sees to it: the one who saw to a part of it.
        target.milestones[.acknowledged] =
            [target, incident].compactMap { $0.milestones[.acknowledged] }.min()
        // It is as far as both are; one that was opened by hand is never quiet by itself.
        let isFiring = try links.isFiring(target.id, in: transaction)
        func later(_ left: Timestamp?, _ right: Timestamp?) -> Timestamp? {
            isFiring ? nil : left.flatMap { one in right.map { max(one, $0) } }
        }
        target.quietSince = later(target.quietSince, incident.quietSince)
        for milestone in [Incident.Milestone.mitigated, .verified] {
            target.milestones[milestone] = later(target.milestones[milestone], incident.milestones[milestone])
        }
        return target
    }

    /// Returns how many entries found no room: those that came by themselves, the latest.
    private func moveStory(
        from id: Identifier<Incident>, to other: Identifier<Incident>, in transaction: Transaction
    ) throws -> Int {
        try story.dropShared(id, with: other, in: transaction)
        let all = try story.numbers(of: id, limit: Self.entriesMax, in: transaction)
        // One place is for what tells of the merging.
        let room = max(0, Self.entriesMax - Int(try story.count(other, in: transaction)) - 1)
        let byHand = all.filter { !Self.isAutomatic($0.entry) }
        let moved = (byHand + all.filter { Self.isAutomatic($0.entry) }).prefix(room).map(\.seq)
        try story.move(moved, from: id, to: other, in: transaction)
        return all.count - moved.count
    }

    private func close(
        _ incident: Incident, into other: Identifier<Incident>, left: Int, by principal: Principal,
        in transaction: Transaction
    ) throws {
        // Told in its own timeline, before what is told of it goes to the other one.
        try record(
            IncidentEntry(
                kind: "act", action: "merged", target: "incident:\(other.text)", actor: principal.actor, at: world.now,
                detail: left == 0 ? [:] : ["text": .string("\(left) entries of its timeline found no room there")]),
            in: incident.id, transaction)
        var incident = incident
        incident.mergedInto = other.text
        incident.milestones[.resolved] = world.now
        incident.revision += 1
        try save(incident, in: transaction)
        try links.unlink(incident.id, in: transaction)
        try postmortems.stopClock(incident.id, in: transaction)
    }

    // MARK: Splitting

    /// Takes alerts out of an incident into one of their own.
    func split(
        _ text: String, alerts fingerprints: [String], title: String?, by principal: Principal,
        in transaction: Transaction
    ) throws -> Incident {
        let incident = try whole(text, in: transaction)
        let all = try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction)
        let (moved, staying) = (
            all.filter { fingerprints.contains($0.fingerprint) }, all.filter { !fingerprints.contains($0.fingerprint) }
        )
        guard incident.isOpen, incident.drill == nil, let first = moved.first, !staying.isEmpty else {
            throw Problem(
                .conflict, "Some but not all alerts of an open incident that is no drill can be split off.",
                hint: "Name alerts by `fingerprint`, as GET /api/v1/incidents/\(incident.id.text) shows them.",
                field: "alerts")
        }
        guard try store.openCount(in: transaction) < Incident.openMax else {
            throw Problem(
                .conflict, "\(Incident.openMax) incidents are open, as many as there may be.",
                hint: "Resolve or merge some.")
        }
        let other = try open(moved, first, of: incident, title: title, by: principal, in: transaction)
        let part = IncidentMove.Part(
            subjects: Set(moved.flatMap(Self.subjects)).subtracting(staying.flatMap(Self.subjects)),
            alerts: Set(moved.map(\.name)).subtracting(staying.map(\.name)))
        try divideStory(of: incident.id, to: other.id, moved, in: transaction)
        var rest = incident
        rest.subjects.removeAll(where: part.subjects.contains)
        try links.unlink(Array(part.subjects), from: incident.id, in: transaction)
        for one in [other, rest] {
            var one = one
            let isQuiet = try !links.isFiring(one.id, in: transaction)
            if isQuiet { one.quietSince = one.quietSince ?? world.now }
            _ = try keep(
                &one, "split", ["from": incident.id.json, "to": other.id.json], by: principal, in: transaction)
            if isQuiet { try reach(.mitigated, of: one.id, by: .system, in: transaction) }
        }
        let move = IncidentMove(
            from: try known(incident.id.text, in: transaction), to: try known(other.id.text, in: transaction),
            part: part)
        for follower in followers { try follower.moved(move, in: transaction) }
        return try known(other.id.text, in: transaction)
    }

    private static func subjects(_ alert: IncidentAlert) -> [String] {
        IncidentGrouping.subjectLabels.filter { $0 != DrillNames.label }.compactMap { name in
            alert.labels[name].isEmpty ? nil : "\(name):\(alert.labels[name])"
        }
    }

    /// The incident of what was split off. Who saw to the whole has seen to its parts.
    private func open(
        _ moved: [IncidentAlert], _ first: IncidentAlert, of incident: Incident, title: String?,
        by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        let severity = moved.compactMap { Incident.Severity(alert: $0.severity) }.max() ?? incident.severity
        var other = Incident(
            id: Identifier<Incident>(world), title: title ?? first.summary, severity: severity,
            mode: moved.lazy.compactMap { FailureMode(rawValue: $0.labels["failure_mode"]) }.first ?? incident.mode,
            // Its first condition is its own from now on.
            groupKey: ([first.name] + Self.subjects(first)).joined(separator: " "),
            subjects: IncidentGrouping.merged([], moved.flatMap(Self.subjects)),
            milestones: [.detected: max(incident.begin, moved.map(\.firstAt).min() ?? world.now)],
            openedBy: principal.actor)
        if other.title.isEmpty { other.title = first.name }
        // What is near to both would bring them together again.
        try insert(&other, near: [], in: transaction)
        other.milestones[.acknowledged] = incident.milestones[.acknowledged]
        for alert in moved { try move(alert, from: incident.id, to: other.id, in: transaction) }
        try AlertService.move(
            moved.map(\.fingerprint), ofIncident: incident.id.text, to: other.id.text, in: transaction)
        try note("incident.opened", other, by: principal, in: transaction)
        return other
    }

    /// What the timeline tells of alerts goes along with them; of the log the new one reads for itself.
    private func divideStory(
        of id: Identifier<Incident>, to other: Identifier<Incident>, _ moved: [IncidentAlert],
        in transaction: Transaction
    ) throws {
        let fingerprints = Set(moved.map(\.fingerprint))
        let numbers = try story.numbers(of: id, limit: Self.entriesMax, in: transaction).filter {
            $0.entry.kind == "alert" && fingerprints.contains($0.entry.detail["fingerprint"]?.string ?? "")
        }.map(\.seq)
        try story.move(numbers, from: id, to: other, in: transaction)
    }

    /// Takes along what the timeline of one tells of something that is the other's now.
    func moveEntries(
        of kind: String, naming name: String, _ value: String, from id: Identifier<Incident>,
        to other: Identifier<Incident>, in transaction: Transaction
    ) throws {
        let numbers = try story.numbers(of: id, limit: Self.entriesMax, in: transaction).filter {
            $0.entry.kind == kind && $0.entry.detail[name]?.string == value
        }.map(\.seq)
        try story.move(numbers, from: id, to: other, in: transaction)
    }

    // MARK: Alerts

    private func move(
        _ alert: IncidentAlert, from id: Identifier<Incident>, to other: Identifier<Incident>,
        in transaction: Transaction
    ) throws {
        try links.remove(alert.fingerprint, of: id, in: transaction)
        var alert = alert
        if let known = try links.alert(alert.fingerprint, of: other, in: transaction) {
            alert.times += known.times
            alert.activeAt = [alert.activeAt, known.activeAt].compactMap(\.self).min()
            (alert.firstAt, alert.lastAt) = (min(alert.firstAt, known.firstAt), max(alert.lastAt, known.lastAt))
            alert.endedAt = alert.endedAt.flatMap { one in known.endedAt.map { max(one, $0) } }
        }
        try links.put(alert, of: other, in: transaction)
    }
}
