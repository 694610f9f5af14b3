import Kernel
import Synchronization
import Telemetry

/// Writes what happens in the fleet into the timelines of incidents, from the event log.
///
/// How far a timeline is written stands in the incident's row and moves in the transaction of the entries, so each
/// event is written once, whoever is killed meanwhile and however many replicas follow. Between entries it moves in
/// memory alone.
public final class IncidentTimelines: Sendable {
    public static let interval = Span.seconds(1)
    /// After its end an incident's timeline goes on for so long.
    static let afterword = Span.minutes(10)
    /// Events of one round, and rounds of one look.
    static let stepMax: Int64 = 5_000
    static let roundsMax = 20
    /// Events that are looked at again after a start, at most.
    static let rewindMax: Int64 = 5_000
    /// Incidents that are followed: as many as may be open, and of those that are over the latest.
    static let followedMax = 2 * Int(Incident.openMax)
    /// Names in one question to the store.
    private static let namesMax = 500

    /// How far an incident is in this process. Another row's number means that somebody moved it.
    private struct Place: Sendable {
        let row: Int64
        let end: Int64
    }

    private struct State: Sendable {
        var places: [String: Place] = [:]
        /// The log's end when all were there; an incident that begins moves it.
        var allAt: Int64 = -1
    }

    private let service: IncidentService
    private let storage: any Storage
    private let state = Mutex(State())

    public init(service: IncidentService, storage: any Storage) {
        (self.service, self.storage) = (service, storage)
    }

    /// Entries for one incident, and up to where they were looked for.
    private struct Batch: Sendable {
        let id: Identifier<Incident>
        let row: Int64
        let end: Int64
        var entries: [IncidentEntry] = []

        var isWorthAWrite: Bool { !entries.isEmpty || end - row >= rewindMax }
    }

    /// Follows the log to its end, or as far as one look may go. Where the log did not grow, that is one question for
    /// its last number.
    public func follow() async throws {
        for _ in 0..<Self.roundsMax {
            let known = state.withLock { $0 }
            guard let (batches, end) = try await storage.read({ try self.look(known, in: $0) }) else { return }
            let (written, service) = (batches.filter(\.isWorthAWrite), service)
            if !written.isEmpty {
                try await storage.write { transaction in
                    for batch in written { try Self.write(batch, service, in: transaction) }
                }
            }
            var next = State()
            next.allAt = end
            for batch in batches {
                next.places[batch.id.text] = Place(row: batch.isWorthAWrite ? batch.end : batch.row, end: batch.end)
            }
            state.withLock { $0 = next }
        }
    }

    private static func write(_ batch: Batch, _ service: IncidentService, in transaction: Transaction) throws {
        // Another replica was there first.
        guard try service.store.setSeen(batch.end, of: batch.id, from: batch.row, in: transaction) else { return }
        for entry in batch.entries { try service.record(entry, in: batch.id, transaction) }
    }

    /// What there is for each incident, and how far all are then; `nil` where there is nothing new.
    private func look(_ known: State, in transaction: Transaction) throws -> ([Batch], Int64)? {
        let last = try service.events.store.lastSeq(in: transaction)
        guard last != known.allAt else { return nil }
        let followed = try service.store.followed(
            since: service.world.now - Self.afterword, limit: Self.followedMax, in: transaction)
        let places = followed.map { one in
            known.places[one.id].flatMap { $0.row == one.seen ? $0.end : nil } ?? one.seen
        }
        let first = places.min() ?? last
        let end = min(last, first + Self.stepMax)
        let events =
            first < end
            ? try service.events.store.list(
                first + 1...end, types: IncidentChange.types, limit: Int(Self.stepMax), in: transaction) : []
        var batches = zip(followed, places).map { one, place in
            Batch(id: Identifier(stored: one.id), row: one.seen, end: max(place, end))
        }
        if !events.isEmpty {
            let mine = Dictionary(uniqueKeysWithValues: zip(followed.map(\.id), places))
            let entries = try entries(events, from: mine, in: transaction)
            for index in batches.indices { batches[index].entries = entries[batches[index].id.text] ?? [] }
        }
        return (batches, end)
    }

    /// The entries of each incident, from its own place on.
    private func entries(
        _ events: [Event], from places: [String: Int64], in transaction: Transaction
    ) throws -> [String: [IncidentEntry]] {
        let first = events[0].seq
        let behind = places.filter { $0.value < events[events.count - 1].seq }.keys.sorted()
        let near = try near(to: Set(events.flatMap(IncidentChange.about)), in: transaction)
        var found: [String: [IncidentEntry]] = [:]
        for from in stride(from: 0, to: behind.count, by: Self.namesMax) {
            let ids = Array(behind[from..<min(from + Self.namesMax, behind.count)])
            for incident in try service.store.incidents(ids, in: transaction) {
                let (subjects, id) = (Set(incident.subjects), incident.id.text)
                let place = places[id] ?? first
                found[id] = events.filter { $0.seq > place }.compactMap {
                    IncidentChange.entry($0, subjects: subjects, near: near[id] ?? [])
                }
            }
        }
        return found
    }

    /// Which of these are near to which incidents.
    private func near(to subjects: Set<String>, in transaction: Transaction) throws -> [String: Set<String>] {
        let all = subjects.sorted()
        var near: [String: Set<String>] = [:]
        for from in stride(from: 0, to: all.count, by: Self.namesMax) {
            let some = Array(all[from..<min(from + Self.namesMax, all.count)])
            for (id, subject) in try service.links.near(to: some, in: transaction) {
                near[id, default: []].insert(subject)
            }
        }
        return near
    }
}

/// Keeps the traces of incidents: those with an error, of the agents that an incident is about and in its time.
public final class IncidentTraces: Sendable {
    public static let interval = Span.seconds(30)
    /// Traces of one incident.
    static let tracesMax = 50
    /// Incidents of one look, agents of one incident, and traces of one agent.
    static let incidentsMax = 20
    static let agentsMax = 10
    static let ofAgentMax = 10

    let service: IncidentService
    let retention: RetentionService
    let traces: any TraceReading
    let storage: any Storage
    /// The incident that was looked at last: the next look goes on behind it.
    private let last = Mutex<String?>(nil)

    public init(
        service: IncidentService, retention: RetentionService, traces: any TraceReading, storage: any Storage
    ) {
        (self.service, self.retention) = (service, retention)
        (self.traces, self.storage) = (traces, storage)
    }

    public func keep() async throws {
        let place = last.withLock { $0 }
        let (followed, next) = try await storage.read { [service] transaction in
            let all = try service.store.followed(
                since: service.world.now - IncidentTimelines.afterword, limit: IncidentTimelines.followedMax,
                in: transaction
            ).map(\.id)
            let turn = Self.turn(all, behind: place)
            let incidents = try service.store.incidents(turn, in: transaction)
            return (try incidents.map { ($0, try service.affectedAgents($0, in: transaction)) }, turn.last)
        }
        last.withLock { $0 = next }
        for (incident, agents) in followed {
            for agent in agents.prefix(Self.agentsMax) { try await keep(incident, agent: agent) }
        }
    }

    /// Whose turn it is: so many behind the one that was last, and from the beginning on again.
    static func turn(_ all: [String], behind last: String?) -> [String] {
        guard all.count > incidentsMax else { return all }
        // The newest come first, and ids grow.
        let start = last.flatMap { last in all.firstIndex { $0 < last } } ?? 0
        return (0..<incidentsMax).map { all[(start + $0) % all.count] }
    }

    private func keep(_ incident: Incident, agent: String) async throws {
        var query = TraceQuery()
        (query.agent, query.isFailed, query.limit) = (agent, true, Self.ofAgentMax)
        let window = service.window(incident)
        // To the end of its microsecond.
        query.times = window.lowerBound.microseconds * 1_000..<(window.upperBound.microseconds + 1) * 1_000
        let found = try await traces.traces(query).traces
        guard !found.isEmpty else { return }
        try await storage.write { [service, retention] transaction in
            let known = try service.links.traces(of: incident.id, limit: Self.tracesMax, in: transaction)
            var room = Self.tracesMax - known.count
            for trace in found {
                let isKnown = known.contains { $0.id == trace.id.description }
                guard isKnown || room > 0 else { continue }
                // Also one that came from an incident that became a part of this one.
                do {
                    try retention.label(
                        trace.id, incident: incident.id.text, correlationID: trace.correlationID, in: transaction)
                } catch is Problem {
                    // It has as many labels as it may have: it is kept by those already.
                }
                guard !isKnown else { continue }
                _ = try service.links.keep(
                    trace: trace.id, of: incident.id, at: Timestamp(microseconds: trace.startedAt / 1_000),
                    agent: agent, correlationID: trace.correlationID, in: transaction)
                room -= 1
            }
        }
    }
}
