import Kernel
import Telemetry

/// Silences, made and ended by people and their tools.
public struct SilenceService: Sendable {
    /// Ends that one round tells of.
    static let endsMax: Int64 = 100

    let store = SilenceStore()
    private let events: Events
    private let audit: AuditService
    private let world: World

    public init(events: Events, audit: AuditService, world: World) {
        (self.events, self.audit, self.world) = (events, audit, world)
    }

    /// What somebody asks for.
    struct Draft: Sendable {
        var id: String?
        var matchers: [LabelMatcher]
        /// `nil` for now.
        var startsAt: Timestamp?
        var endsAt: Timestamp
        var createdBy: String
        var comment: String
    }

    /// Makes a silence, or changes one: what has begun keeps its beginning and its matchers, else it ends and another
    /// takes its place (Alertmanager 0.25, `silence.Silences.Set`).
    func set(_ draft: Draft, by principal: Principal, in transaction: Transaction) throws -> Silence {
        let now = world.now
        var silence = Silence(
            id: draft.id ?? Silence.newID(world), matchers: draft.matchers, startsAt: max(draft.startsAt ?? now, now),
            endsAt: draft.endsAt, updatedAt: now, createdBy: draft.createdBy, comment: draft.comment)
        if let id = draft.id {
            guard let known = try store.silence(id, in: transaction) else { throw Problem.notFound("silence", id) }
            let isSame = known.matchers.map(\.description) == draft.matchers.map(\.description)
            if isSame, known.state(at: now) == .active {
                silence.startsAt = known.startsAt
                try store.upsert(silence, in: transaction)
                try note("silence.updated", silence, by: principal, in: transaction)
                return silence
            }
            if isSame, known.state(at: now) == .pending {
                try store.upsert(silence, in: transaction)
                try note("silence.updated", silence, by: principal, in: transaction)
                return silence
            }
            if known.state(at: now) != .expired { try end(known, by: principal, in: transaction) }
            silence = Silence(
                id: Silence.newID(world), matchers: silence.matchers, startsAt: silence.startsAt,
                endsAt: silence.endsAt, updatedAt: now, createdBy: silence.createdBy, comment: silence.comment)
        }
        guard try store.openCount(at: now, in: transaction) < Silence.activeMax else {
            throw Problem(
                .conflict, "\(Silence.activeMax) silences have not ended, as many as there may be.",
                hint: "End one, or write one with a regular expression in place of many.")
        }
        try store.upsert(silence, in: transaction)
        try note("silence.created", silence, by: principal, in: transaction)
        return silence
    }

    /// Ends a silence; one that has ended stays as it is.
    func expire(_ id: String, by principal: Principal, in transaction: Transaction) throws {
        guard let silence = try store.silence(id, in: transaction) else { throw Problem.notFound("silence", id) }
        guard silence.state(at: world.now) != .expired else {
            throw Problem(.conflict, "The silence \(id) has ended already.")
        }
        try end(silence, by: principal, in: transaction)
    }

    private func end(_ silence: Silence, by principal: Principal, in transaction: Transaction) throws {
        var silence = silence
        silence.startsAt = min(silence.startsAt, world.now)
        (silence.endsAt, silence.updatedAt) = (world.now, world.now)
        try store.upsert(silence, in: transaction)
        try store.noteEndTold(silence.id, in: transaction)
        try note("silence.expired", silence, by: principal, in: transaction)
    }

    /// Tells of those that ended by themselves, and forgets what ended long ago.
    public func sweep(in transaction: Transaction) throws {
        for silence in try store.endsToTell(at: world.now, limit: Self.endsMax, in: transaction) {
            try store.noteEndTold(silence.id, in: transaction)
            try events.append(
                EventDraft("silence.expired", actor: Principal.system.actor, data: facts(silence)), in: transaction)
        }
        try store.forget(before: world.now - Silence.kept, limit: Self.endsMax, in: transaction)
    }

    /// Whether ``sweep(in:)`` finds something.
    public func needsSweep(in transaction: Transaction) throws -> Bool {
        try !store.endsToTell(at: world.now, limit: 1, in: transaction).isEmpty
            || store.hasEnded(before: world.now - Silence.kept, in: transaction)
    }

    private func facts(_ silence: Silence) -> JSONValue {
        [
            "silenceId": .string(silence.id),
            "matchers": .array(silence.matchers.map { .string($0.description) }),
            "startsAt": silence.startsAt.json, "endsAt": silence.endsAt.json,
            "createdBy": .string(silence.createdBy), "comment": .string(silence.comment),
        ]
    }

    private func note(
        _ type: String, _ silence: Silence, by principal: Principal, in transaction: Transaction
    ) throws {
        let facts = facts(silence)
        try events.append(EventDraft(type, actor: principal.actor, data: facts), in: transaction)
        try audit.record(type, by: principal, target: "silence:\(silence.id)", detail: facts, in: transaction)
    }
}
