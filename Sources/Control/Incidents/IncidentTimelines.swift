import Kernel
import Synchronization
import Telemetry

/// Writes what happens in the fleet into the timelines of incidents, from the event log.
///
/// How far a timeline is written stands in the incident's row and moves in the transaction of the entries, so each
/// event is written once, whoever is killed meanwhile and however many replicas follow. Between entries it moves in
/// memory alone. What concerns everybody is written a few incidents at a time: other writers have their turn between.
public final class IncidentTimelines: Sendable {
    public static let interval = Span.seconds(1)
    /// After its end an incident's timeline goes on for so long.
    static let afterword = Span.minutes(10)
    /// Events of one round, and rounds of one look.
    static let stepMax: Int64 = 5_000
    static let roundsMax = 20
    /// Events that are looked at again after a start, at most.
    static let rewindMax: Int64 = 5_000
    /// Incidents that are followed: more than may be open, with those that are over since a moment.
    static let followedMax = 10 * Int(Incident.openMax)
    /// Incidents of one batch, pairs of them with events, and entries of one transaction.
    static let batchMax = 100
    static let pairsMax = 20_000
    static let entriesMax = 1_000
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

    /// Incidents and how far each is, with the events that some of them may not have.
    private struct Round: Sendable {
        let followed: [(id: String, seen: Int64)]
        let places: [Int64]
        let events: [Event]
        let end: Int64
    }

    /// Entries for one incident, and how far its timeline is with them.
    struct Batch: Sendable {
        let id: Identifier<Incident>
        let row: Int64
        let end: Int64
        var entries: [IncidentEntry] = []

        var isWorthAWrite: Bool { !entries.isEmpty || end - row >= rewindMax }
    }

    private let service: IncidentService
    private let storage: any Storage
    private let state = Mutex(State())

    public init(service: IncidentService, storage: any Storage) {
        (self.service, self.storage) = (service, storage)
    }

    /// Follows the log to its end, or as far as one look may go. Where the log did not grow, that is one question for
    /// its last number.
    public func follow() async throws {
        for _ in 0..<Self.roundsMax {
            let known = state.withLock { $0 }
            guard let round = try await storage.read({ try self.look(known, in: $0) }) else { return }
            let size = max(1, min(Self.batchMax, Self.pairsMax / max(1, round.events.count)))
            var isWhole = true
            for from in stride(from: 0, to: round.followed.count, by: size) {
                let isWritten = try await write(round, from..<min(from + size, round.followed.count))
                isWhole = isWhole && isWritten
            }
            let ids = Set(round.followed.map(\.id))
            state.withLock { [isWhole] state in
                state.places = state.places.filter { ids.contains($0.key) }
                // Where somebody else was there first, nobody knows how far until it is looked again.
                if isWhole { state.allAt = round.end }
            }
        }
    }

    /// Writes what some of the incidents do not have yet.
    ///
    /// - Returns: Whether nobody else moved one of them meanwhile.
    private func write(_ round: Round, _ part: Range<Int>) async throws -> Bool {
        let behind = part.filter { round.places[$0] < round.end }
        var batches = behind.map { index in
            let one = round.followed[index]
            return Batch(id: Identifier(stored: one.id), row: one.seen, end: round.end)
        }
        if !round.events.isEmpty, !batches.isEmpty {
            let places = Dictionary(uniqueKeysWithValues: behind.map { (round.followed[$0].id, round.places[$0]) })
            let entries = try await storage.read { try self.entries(round.events, from: places, in: $0) }
            for index in batches.indices { batches[index].entries = entries[batches[index].id.text] ?? [] }
        }
        var moved: Set<String> = []
        for some in Self.transactions(batches.filter(\.isWorthAWrite)) {
            moved.formUnion(try await storage.write { [service] in try service.write(some, in: $0) })
        }
        state.withLock { [moved] state in
            for batch in batches where !moved.contains(batch.id.text) {
                state.places[batch.id.text] = Place(row: batch.isWorthAWrite ? batch.end : batch.row, end: batch.end)
            }
        }
        return moved.isEmpty
    }

    /// The batches as they are written together: so many entries at one time, and a timeline with more of them piece by
    /// piece, each of which says how far it goes.
    static func transactions(_ batches: [Batch]) -> [[Batch]] {
        var transactions: [[Batch]] = []
        var (open, room) = ([Batch](), entriesMax)
        func close() {
            if !open.isEmpty { transactions.append(open) }
            (open, room) = ([], entriesMax)
        }
        for batch in batches {
            var (row, rest) = (batch.row, batch.entries[...])
            repeat {
                if rest.count > room, !open.isEmpty { close() }
                let piece = Array(rest.prefix(room))
                rest = rest.dropFirst(piece.count)
                let end = rest.isEmpty ? batch.end : piece.last?.event ?? batch.end
                open.append(Batch(id: batch.id, row: row, end: end, entries: piece))
                room -= piece.count
                row = end
                // The pieces of one timeline follow each other: each finds the one before it written.
                if room == 0 || !rest.isEmpty { close() }
            } while !rest.isEmpty
        }
        close()
        return transactions
    }

    /// What there is to be written, and how far all are then; `nil` where there is nothing new.
    private func look(_ known: State, in transaction: Transaction) throws -> Round? {
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
        return Round(followed: followed, places: places, events: events, end: end)
    }

    /// The entries of each incident, from its own place on; no more than it has room for.
    private func entries(
        _ events: [Event], from places: [String: Int64], in transaction: Transaction
    ) throws -> [String: [IncidentEntry]] {
        let ids = places.keys.sorted()
        let near = try near(ids, to: Set(events.flatMap(IncidentChange.about)), in: transaction)
        let counts = try service.story.counts(ids, in: transaction)
        var found: [String: [IncidentEntry]] = [:]
        for incident in try service.store.incidents(ids, in: transaction) {
            let (subjects, id) = (Set(incident.subjects), incident.id.text)
            let room = max(0, IncidentService.automaticMax - (counts[id] ?? 0))
            guard let place = places[id], room > 0 else { continue }
            found[id] = Array(
                events.lazy.filter { $0.seq > place }.compactMap {
                    IncidentChange.entry($0, subjects: subjects, near: near[id] ?? [])
                }.prefix(Int(room)))
        }
        return found
    }

    /// Which of these are near to which of the incidents.
    private func near(
        _ ids: [String], to subjects: Set<String>, in transaction: Transaction
    ) throws -> [String: Set<String>] {
        let all = subjects.sorted()
        var near: [String: Set<String>] = [:]
        for some in all.chunks(of: Self.namesMax) {
            for (id, subject) in try service.links.near(ids, to: Array(some), in: transaction) {
                near[id, default: []].insert(subject)
            }
        }
        return near
    }
}

extension IncidentService {
    /// Writes entries of the log, and how far each timeline is with them.
    ///
    /// - Returns: Those that are not where they were, and stay as they are.
    func write(_ batches: [IncidentTimelines.Batch], in transaction: Transaction) throws -> Set<String> {
        let ids = batches.map(\.id.text)
        let rows = Dictionary(uniqueKeysWithValues: try store.places(ids, in: transaction).map { ($0.id, $0.seen) })
        // Where another replica was there first, or the incident became a part of another one, whose timeline reads the
        // log from there on itself, nothing is left to do.
        let (open, moved) = (
            batches.filter { rows[$0.id.text] == $0.row }, batches.filter { rows[$0.id.text] != $0.row }
        )
        for batch in open { try store.setSeen(batch.end, of: batch.id, in: transaction) }
        try story.append(open.filter { !$0.entries.isEmpty }.map { ($0.id, $0.entries) }, in: transaction)
        return Set(moved.map(\.id.text))
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
