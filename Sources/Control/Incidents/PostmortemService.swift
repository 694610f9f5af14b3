import Kernel
import Telemetry

/// Postmortems: their draft, what people make of it, what is to be done, and by when it has to be there.
extension IncidentService {
    /// Reminders before and after the time is over, as parts of it: half of it left, a twelfth left, none left.
    private static let reminders: [(left: Double, type: String)] = [
        (0.5, "incident.postmortem_due"), (1.0 / 12, "incident.postmortem_due"), (0, "incident.postmortem_overdue"),
    ]
    /// Reminders of one round.
    private static let remindedMax = 100

    static func isAutomatic(_ entry: IncidentEntry) -> Bool {
        entry.kind == "alert" || IncidentChange.Kind(rawValue: entry.kind) != nil
    }

    /// Starts the clock, where the incident is worth a postmortem.
    func expectPostmortem(of incident: Incident, in transaction: Transaction) throws {
        guard incident.severity > .info, incident.milestones[.postmortem] == nil, incident.mergedInto == nil else {
            return
        }
        var postmortem = try postmortems.postmortem(incident.id, in: transaction) ?? Postmortem()
        guard postmortem.waivedAt == nil else { return }
        postmortem.dueAt = world.now + policy.postmortemWithin
        postmortem.reminded = 0
        try save(postmortem, of: incident.id, in: transaction)
    }

    /// Of one that is over, somebody said how bad it was after all: what only informs owes nothing, what is worse does.
    func weighPostmortem(of incident: Incident, in transaction: Transaction) throws {
        let isOwed = try postmortems.postmortem(incident.id, in: transaction)?.dueAt != nil
        guard (incident.severity > .info) != isOwed else { return }
        guard isOwed else { return try expectPostmortem(of: incident, in: transaction) }
        try postmortems.stopClock(incident.id, in: transaction)
        for follower in followers { try follower.remindsNoMore(of: incident, in: transaction) }
    }

    func postmortem(_ incident: Incident, in transaction: Transaction) throws -> Postmortem {
        try postmortems.postmortem(incident.id, in: transaction) ?? Postmortem()
    }

    /// The document as it stands: somebody's, or a draft of this moment, with the items that are tracked. Everybody
    /// reads it, so a draft has nothing that is for operators alone.
    func document(_ incident: Incident, in transaction: Transaction) throws -> (text: String, Postmortem) {
        let postmortem = try postmortem(incident, in: transaction)
        let items = try postmortems.items(of: incident.id, in: transaction)
        if let document = postmortem.document { return (PostmortemDraft.with(items, in: document), postmortem) }
        let draft = PostmortemDraft.text(
            incident, alerts: try links.alerts(of: incident.id, limit: Incident.alertsMax, in: transaction),
            entries: try entries(of: incident.id, in: transaction).map(FileChangeSight.outlines.seen),
            analysis: try analysis(incident, .outlines, in: transaction))
        return (PostmortemDraft.with(items, in: draft), postmortem)
    }

    func write(
        _ document: String, of text: String, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        let incident = try whole(text, in: transaction)
        var postmortem = try postmortem(incident, in: transaction)
        try EntityTag.check(ifMatch, against: postmortem.etag, of: "the postmortem")
        postmortem.document = PostmortemDraft.without(try Postmortem.checked(document))
        (postmortem.editedAt, postmortem.editedBy) = (world.now, principal.actor)
        postmortem.revision += 1
        try save(postmortem, of: incident.id, in: transaction)
        try told("postmortem_edited", incident, by: principal, in: transaction)
        return incident
    }

    /// Says that no postmortem is needed, and why.
    func waive(
        _ text: String, why: String, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        let incident = try whole(text, in: transaction)
        var postmortem = try postmortem(incident, in: transaction)
        guard postmortem.waivedAt == nil else { return incident }
        guard incident.milestones[.postmortem] == nil else {
            throw Problem(.conflict, "The postmortem is published.", hint: "There is nothing left to waive.")
        }
        (postmortem.waivedAt, postmortem.waivedBy, postmortem.waivedWhy) = (world.now, principal.actor, why)
        postmortem.dueAt = nil
        try save(postmortem, of: incident.id, in: transaction)
        try told("postmortem_waived", incident, ["reason": .string(why)], by: principal, in: transaction)
        for follower in followers { try follower.remindsNoMore(of: incident, in: transaction) }
        return incident
    }

    /// Publishing keeps the draft as it is then, where nobody edited it.
    func publish(
        _ text: String, note: String, by principal: Principal, in transaction: Transaction
    ) throws -> Incident {
        let incident = try known(text, in: transaction)
        guard incident.milestones[.postmortem] == nil else { return incident }
        let published = try state(.postmortem, of: text, note: note, by: principal, in: transaction)
        var (document, postmortem) = try document(incident, in: transaction)
        document = PostmortemDraft.without(document)
        postmortem.document = document
        postmortem.revision += 1
        postmortem.dueAt = nil
        try save(postmortem, of: incident.id, in: transaction)
        for follower in followers { try follower.remindsNoMore(of: incident, in: transaction) }
        return published
    }

    private func told(
        _ action: String, _ incident: Incident, _ detail: JSONValue = [:], by principal: Principal,
        in transaction: Transaction
    ) throws {
        try record(
            IncidentEntry(
                kind: "act", action: action, target: incident.target, actor: principal.actor, at: world.now,
                detail: detail), in: incident.id, transaction)
        try note("incident.\(action)", incident, by: principal, in: transaction)
        try audit.record("incident.\(action)", by: principal, target: incident.target, detail: detail, in: transaction)
    }

    // MARK: The clock

    /// When the next reminder of a postmortem is; `nil` where none is to come.
    private func nextReminder(_ postmortem: Postmortem) -> Timestamp? {
        guard let dueAt = postmortem.dueAt, Self.reminders.indices.contains(Int(postmortem.reminded)) else {
            return nil
        }
        return dueAt - policy.postmortemWithin * Self.reminders[Int(postmortem.reminded)].left
    }

    /// Writes a postmortem, and when somebody is reminded of it.
    func save(_ postmortem: Postmortem, of id: Identifier<Incident>, in transaction: Transaction) throws {
        var postmortem = postmortem
        postmortem.remindAt = nextReminder(postmortem)
        try postmortems.put(postmortem, of: id, in: transaction)
    }

    func armReminders(in transaction: Transaction) throws {
        for (index, reminder) in Self.reminders.enumerated() {
            try postmortems.arm(
                reminded: Int64(index), before: policy.postmortemWithin * reminder.left, in: transaction)
        }
    }

    /// Reminds of postmortems that are due soon, and says which are overdue: each once. Where the time of several went
    /// by while nothing ran, the last of them is sent.
    func remind(in transaction: Transaction) throws -> Int {
        var done = 0
        for id in try postmortems.toRemind(at: world.now, limit: Self.remindedMax, in: transaction) {
            guard let incident = try store.incident(id, in: transaction),
                var postmortem = try postmortems.postmortem(id, in: transaction)
            else { continue }
            var type: String?
            while let at = nextReminder(postmortem), at <= world.now {
                type = Self.reminders[Int(postmortem.reminded)].type
                postmortem.reminded += 1
            }
            try save(postmortem, of: id, in: transaction)
            guard let type else { continue }
            try note(type, incident, by: .system, [("dueAt", .of(postmortem.dueAt))], in: transaction)
            if let dueAt = postmortem.dueAt {
                let reminder = PostmortemReminder(dueAt: dueAt, isOverdue: dueAt <= world.now)
                for follower in followers { try follower.reminds(reminder, of: incident, in: transaction) }
            }
            done += 1
        }
        return done
    }

    // MARK: Action items

    struct ActionEdit: Sendable {
        var summary: String?
        var owner: String?
        /// A day; empty for none.
        var dueOn: String?
        var state: ActionItem.State?
        /// The key of a proposal that it is made of.
        var proposal: String?
    }

    func addAction(
        _ edit: ActionEdit, to text: String, by principal: Principal, in transaction: Transaction
    ) throws -> ActionItem {
        let incident = try whole(text, in: transaction)
        let items = try postmortems.items(of: incident.id, in: transaction)
        guard Int64(items.count) < ActionItem.itemsMax else {
            throw Problem(.conflict, "There are \(ActionItem.itemsMax) action items, as many as there may be.")
        }
        let item = ActionItem(
            number: (items.last?.number ?? 0) + 1, summary: edit.summary ?? "", owner: edit.owner ?? "",
            dueOn: edit.dueOn.flatMap { $0.isEmpty ? nil : $0 }, state: .open, createdAt: world.now,
            createdBy: principal.actor, proposal: edit.proposal)
        if let proposal = edit.proposal, let known = items.first(where: { $0.proposal == proposal }) { return known }
        try postmortems.insert(item, of: incident.id, in: transaction)
        try told(
            "action_added", incident, ["item": .int(item.number), "text": .string(item.summary)], by: principal,
            in: transaction)
        return item
    }

    func editAction(
        _ number: Int64, _ edit: ActionEdit, of text: String, by principal: Principal, in transaction: Transaction
    ) throws -> ActionItem {
        let incident = try whole(text, in: transaction)
        let items = try postmortems.items(of: incident.id, in: transaction)
        guard var item = items.first(where: { $0.number == number }) else {
            throw Problem.notFound("action item", "\(number)")
        }
        let before = item
        item.summary = edit.summary ?? item.summary
        item.owner = edit.owner ?? item.owner
        if let dueOn = edit.dueOn { item.dueOn = dueOn.isEmpty ? nil : dueOn }
        if let state = edit.state, state != item.state {
            item.state = state
            item.closedAt = state == .open ? nil : world.now
        }
        guard item != before else { return item }
        try postmortems.update(item, of: incident.id, in: transaction)
        try told(
            item.state == before.state ? "action_changed" : "action_\(item.state.rawValue)", incident,
            ["item": .int(number), "text": .string(item.summary)], by: principal, in: transaction)
        return item
    }
}
