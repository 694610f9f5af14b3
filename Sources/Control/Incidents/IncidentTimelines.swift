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

    private let service: IncidentService
    private let storage: any Storage
    /// How far each incident is in this process.
    private let seen = Mutex<[String: Int64]>([:])

    public init(service: IncidentService, storage: any Storage) {
        (self.service, self.storage) = (service, storage)
    }

    /// Entries for one incident, and up to where they were looked for.
    private struct Batch: Sendable {
        let incident: Incident
        let entries: [IncidentEntry]
        let end: Int64
    }

    /// Follows the log to its end, or as far as one look may go.
    public func follow() async throws {
        for _ in 0..<Self.roundsMax {
            let batches = try await storage.read { try self.look(in: $0) }
            guard !batches.isEmpty else { return }
            let written = batches.filter { !$0.entries.isEmpty || $0.end - $0.incident.seenEvent >= Self.rewindMax }
            let service = service
            if !written.isEmpty {
                try await storage.write { transaction in
                    for batch in written { try Self.write(batch, service, in: transaction) }
                }
            }
            seen.withLock { seen in
                var next: [String: Int64] = [:]
                for batch in batches { next[batch.incident.id.text] = batch.end }
                for (id, seq) in seen where next[id] == nil && seen.count < Int(Incident.openMax) * 2 { next[id] = seq }
                seen = next
            }
        }
    }

    private static func write(_ batch: Batch, _ service: IncidentService, in transaction: Transaction) throws {
        let (id, before) = (batch.incident.id, batch.incident.seenEvent)
        // Another replica was there first.
        guard try service.store.setSeen(batch.end, of: id, from: before, in: transaction) else { return }
        for entry in batch.entries { try service.record(entry, in: id, transaction) }
    }

    private func look(in transaction: Transaction) throws -> [Batch] {
        let now = service.world.now
        let followed = try service.store.followed(
            since: now - Self.afterword, limit: Int(Incident.openMax), in: transaction)
        guard !followed.isEmpty else { return [] }
        let last = try service.events.store.lastSeq(in: transaction)
        let places = seen.withLock { seen in followed.map { max($0.seenEvent, seen[$0.id.text] ?? 0) } }
        guard let first = places.min(), first < last else { return [] }
        let end = min(last, first + Self.stepMax)
        let events = try service.events.store.list(
            first + 1...end, types: IncidentChange.types, limit: Int(Self.stepMax), in: transaction)
        var batches: [Batch] = []
        for (incident, place) in zip(followed, places) where place < end {
            let mine = events.filter { $0.seq > place }
            var entries: [IncidentEntry] = []
            if !mine.isEmpty {
                let near = try service.links.near(incident.id, limit: IncidentGrouping.nearMax, in: transaction)
                let (subjects, around) = (Set(incident.subjects), Set(near))
                entries = mine.compactMap { IncidentChange.entry($0, subjects: subjects, near: around) }
            }
            batches.append(Batch(incident: incident, entries: entries, end: end))
        }
        return batches
    }
}

/// Keeps the traces of incidents: those with an error, of the agents that an incident is about and in its time.
public struct IncidentTraces: Sendable {
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

    public init(
        service: IncidentService, retention: RetentionService, traces: any TraceReading, storage: any Storage
    ) {
        (self.service, self.retention) = (service, retention)
        (self.traces, self.storage) = (traces, storage)
    }

    public func keep() async throws {
        let followed = try await storage.read { transaction in
            try service.store.followed(
                since: service.world.now - IncidentTimelines.afterword, limit: Self.incidentsMax, in: transaction
            ).map { ($0, try service.affectedAgents($0, in: transaction)) }
        }
        for (incident, agents) in followed {
            for agent in agents.prefix(Self.agentsMax) { try await keep(incident, agent: agent) }
        }
    }

    private func keep(_ incident: Incident, agent: String) async throws {
        var query = TraceQuery()
        (query.agent, query.isFailed, query.limit) = (agent, true, Self.ofAgentMax)
        let window = service.window(incident)
        // To the end of its microsecond.
        query.times = window.lowerBound.microseconds * 1_000..<(window.upperBound.microseconds + 1) * 1_000
        let found = try await traces.traces(query).traces
        guard !found.isEmpty else { return }
        try await storage.write { transaction in
            let known = try service.links.traces(of: incident.id, limit: Self.tracesMax, in: transaction)
            var room = Self.tracesMax - known.count
            for trace in found where room > 0 && !known.contains(where: { $0.id == trace.id.description }) {
                do {
                    try retention.label(
                        trace.id, incident: incident.id.text, correlationID: trace.correlationID, in: transaction)
                } catch is Problem {
                    // It has as many labels as it may have: it is kept by those already.
                }
                _ = try service.links.keep(
                    trace: trace.id, of: incident.id, at: Timestamp(microseconds: trace.startedAt / 1_000),
                    agent: agent, correlationID: trace.correlationID, in: transaction)
                room -= 1
            }
        }
    }
}
