import Kernel
import Synchronization

/// ClickHouse as the store of all telemetry.
///
/// While it is away, requests wait in the spool. Nothing here needs it at the start: its tables are made once it
/// answers.
final class ClickHouseStore: TelemetryStore {
    private struct State {
        var hasTables = false
    }

    let entryAtStart: Int64
    let labelsAtStart: [String: Set<String>]? = nil
    let flushInterval = Span.seconds(1)
    private let connection: ClickHouseConnection
    private let node: ClickHouseNode
    private let live: LiveSpans
    private let world: World
    /// What works on the tables as a whole, by one at a time.
    let stores: ClickHouseStores
    let turn = Turn()
    var patience: StorePatience? { rest }
    let rest: StorePatience
    private let unkept = Mutex(UnkeptTraces())
    private let spans: ClickHouseSpanStore
    private let logs: ClickHouseLogStore
    private let state = Mutex(State())
    /// Taken out while it works, by one at a time.
    private let flush: Mutex<ClickHouseFlush?>
    private let kept: Mutex<Int64>

    /// - Parameter folder: The folder of all telemetry, for how far the spool is in the store.
    init(
        _ address: ClickHouseAddress, transport: any ClickHouseTransport, folder: String, live: LiveSpans,
        bindings: TraceBindings, world: World
    ) throws {
        node = try ClickHouseNode(folder: folder, entropy: world.entropy)
        connection = ClickHouseConnection(address, transport: transport, entropy: world.entropy)
        stores = ClickHouseStores(connection, node: node.name, world: world)
        rest = StorePatience(world)
        (self.live, self.world) = (live, world)
        spans = ClickHouseSpanStore(connection: connection)
        logs = ClickHouseLogStore(connection: connection)
        flush = Mutex(ClickHouseFlush(connection, node: node.name, live: live, bindings: bindings))
        entryAtStart = node.entry
        kept = Mutex(node.entry)
    }

    var fault: String? { connection.fault.map(\.description) }

    // MARK: in

    func keep(_ requests: [WaitingRequest], now: Timestamp) async -> StoreOutcome {
        do { try await makeTables() } catch { return StoreOutcome(result: .failure(error)) }
        guard
            var work = flush.withLock({ flush in
                defer { flush = nil }
                return flush
            })
        else { preconditionFailure("two put requests into the store at a time") }
        let outcome = await work.keep(requests, now: now)
        flush.withLock { [work] in $0 = work }
        if case .success = outcome.result, let last = requests.last { kept.withLock { $0 = last.number } }
        return outcome
    }

    func makeTables() async throws {
        guard !state.withLock({ $0.hasTables }) else { return }
        for statement in ClickHouseSchema.statements { try await connection.run(statement: statement) }
        state.withLock { $0.hasTables = true }
    }

    /// An insert that was answered is ClickHouse's to keep; what is written here is how far the spool is.
    func sync() async throws { try node.keep(kept.withLock { $0 }) }

    /// ClickHouse merges by itself.
    func tidy() async -> Bool { false }

    func close() async throws {}

    /// Traces that were not kept for their error since the start.
    var unkeptTraces: Int { unkept.withLock { $0.count } }

    func note(unkept traces: Set<TraceID>) { unkept.withLock { $0.note(traces) } }

    /// Partitions are dropped there, and nobody waits here.
    var lastDrop: Duration? { nil }

    func digest(_ text: String) -> String { Digest.keyed(text, key: Array(node.name.utf8)) }

    // MARK: out

    private var today: Int { ArchivePart.day(of: world.now) }

    func heads(of trace: TraceID) async throws -> [SpanHead] {
        try await reading { try await spans.heads(of: [trace]) }
    }

    func has(_ trace: TraceID) async throws -> Bool { try await reading { try await spans.has(trace) } }

    func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail? {
        try await reading { try await spans.span(id, of: trace) }
    }

    func traces(_ query: TraceQuery, longest: Duration) async throws -> TraceFindings {
        try await reading { try await spans.traces(query, live: live, today: today, longest: longest) }
    }

    func sessions(_ query: SessionQuery, longest: Duration) async throws -> SessionFindings {
        try await reading { try await spans.sessions(query, live: live, today: today, longest: longest) }
    }

    func logs(_ query: LogQuery, longest: Duration) async throws -> LogFindings {
        try await reading { try await logs.find(query, longest: longest) }
    }

    func tally(_ query: LogTallyQuery, longest: Duration) async throws -> LogTally {
        try await reading { try await logs.tally(query, longest: longest) }
    }

    func labels() async throws -> [String: Set<String>] { try await reading { try await logs.labels() } }

    /// What goes wrong with ClickHouse passes, and is said so.
    func reading<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
        do {
            try await makeTables()
            return try await body()
        } catch let fault as ClickHouseFault {
            throw Problem(
                .storageUnavailable, "The store of telemetry does not answer as it should.",
                hint: "Records are still taken in and kept; ask again once ClickHouse is back.",
                retryAfterSeconds: 5, cause: fault)
        }
    }
}
