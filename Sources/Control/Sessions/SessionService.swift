import Kernel
import Telemetry

/// Where sessions and their spans are found.
public protocol SessionReading: TraceReading {
    func sessions(_ query: SessionQuery) async throws -> SessionFindings
}

extension TelemetryIngest: SessionReading {}

/// Sessions, put together from spans and the records of calls.
public struct SessionService: Sendable {
    /// Calls of a session whose records are looked at, the latest ones.
    static let callsMax = 1_000
    /// Correlation ids of a session by which they are looked for.
    static let correlationsMax = 20
    /// Spans of a session that are looked at.
    static let spansMax = 200_000
    /// How long a list takes to put sessions together; those that are left are not shown.
    static let listMax = Duration.seconds(5)

    let spans: any SessionReading
    let calls: CallService
    let storage: any Storage
    let prices: Session.Prices

    public init(
        spans: any SessionReading, calls: CallService, storage: any Storage, prices: Session.Prices = Session.Prices()
    ) {
        (self.spans, self.calls, self.storage, self.prices) = (spans, calls, storage, prices)
    }

    /// The latest first, and whether all were looked at.
    func list(_ query: SessionQuery) async throws -> (sessions: [Session], isComplete: Bool) {
        let found = try await spans.sessions(query)
        let end = ContinuousClock.now + Self.listMax
        var sessions: [Session] = []
        for each in found.sessions {
            guard ContinuousClock.now < end else { return (sessions, false) }
            sessions.append(try await session(each))
        }
        return (sessions, found.isComplete)
    }

    /// - Parameter id: A conversation's, or a trace's: any trace can be gone through as a session.
    func session(_ id: String) async throws -> Session {
        // A conversation may be called by 32 hexadecimal digits too, but no trace is found by a search as fast.
        if let trace = TraceID(id), try await !spans.trace(trace).isEmpty {
            return try await session(SessionTraces(trace: trace))
        }
        var query = SessionQuery()
        (query.id, query.limit) = (id, 1)
        if let found = try await spans.sessions(query).sessions.first { return try await session(found) }
        throw Problem.notFound("session", PageText.clipped(id, 64))
    }

    private func session(_ found: SessionTraces) async throws -> Session {
        let (heads, isWhole) = try await Self.gather(found.traces) { try await spans.trace($0) }
        var prices = prices
        prices.calls = try await costs(of: found, heads.flatMap(\.self))
        return Session(found, heads, prices, isWhole: isWhole)
    }

    /// The spans of traces, until there are enough, and whether these are all.
    static func gather(
        _ traces: [TraceID], read: (TraceID) async throws -> [SpanHead]
    ) async throws -> (heads: [[SpanHead]], isWhole: Bool) {
        var heads: [[SpanHead]] = []
        var left = spansMax
        for trace in traces {
            guard left > 0 else { return (heads, false) }
            heads.append(try await read(trace))
            left -= heads.last?.count ?? 0
        }
        return (heads, true)
    }

    /// Nano-dollars of the calls that Reeve made for a session, by their spans.
    private func costs(of found: SessionTraces, _ heads: [SpanHead]) async throws -> [SpanID: Int64] {
        var filters: [CallFilter] = []
        if !found.isTrace {
            var filter = CallFilter()
            filter.session = found.id
            filters = [filter]
        }
        // An agent may name its session to its instrumentation alone.
        let ids = Set(heads.map { $0.correlationID ?? $0.traceID.description })
        for id in ids.sorted().prefix(Self.correlationsMax) {
            var filter = CallFilter()
            filter.correlationID = id
            filters.append(filter)
        }
        let asked = filters
        let records = try await storage.read { transaction in
            try asked.flatMap { try calls.store.list($0, page: Page(limit: Self.callsMax), in: transaction) }
        }
        return records.reduce(into: [:]) { costs, call in
            if let span = call.spanID.flatMap({ SpanID($0) }), let cost = call.cost { costs[span] = cost.nanoUSD }
        }
    }
}
