import Kernel

/// Where records are kept for good: the files of the ``Archive``, or a database of its own.
///
/// ``TelemetryIngest`` answers for the way there: a request is in the spool until ``keep(_:now:)`` has it and
/// ``sync()`` says that it stays. What runs at this moment is none of the store's.
protocol TelemetryStore: Sendable {
    /// The highest entry of the spool that it knows of at its start: later ones get higher numbers.
    var entryAtStart: Int64 { get }

    /// The labels of streams that are kept, where that is known without asking; see ``labels()``.
    var labelsAtStart: [String: Set<String>]? { get }

    /// How often what waits is put into it.
    var flushInterval: Span { get }

    /// Why it cannot be used at this moment; `nil` where nothing is known of that.
    var fault: String? { get }

    /// Where it may be away for a while: when it is tried again. `nil` for one that is always there.
    var patience: StorePatience? { get }

    /// Puts requests into it. Called by one at a time; after a failure the same requests come again, with others
    /// behind them, and what is there of them already is passed over.
    func keep(_ requests: [WaitingRequest], now: Timestamp) async -> StoreOutcome

    /// Makes sure that all that was kept survives the machine's end.
    func sync() async throws

    /// Does a bounded piece of the store's own work, such as to put small blocks together, where nobody is held up.
    ///
    /// - Returns: Whether there is more to do.
    func tidy() async -> Bool

    /// The heads of a trace's spans.
    func heads(of trace: TraceID) async throws -> [SpanHead]

    /// Whether it has spans of a trace, without reading all of them.
    func has(_ trace: TraceID) async throws -> Bool

    /// All of a span; `nil` where there is none.
    func span(_ id: SpanID, of trace: TraceID) async throws -> SpanDetail?

    /// - Parameter longest: So much time may it take; a search that is not through by then says so.
    func traces(_ query: TraceQuery, longest: Duration) async throws -> TraceFindings
    func sessions(_ query: SessionQuery, longest: Duration) async throws -> SessionFindings
    func logs(_ query: LogQuery, longest: Duration) async throws -> LogFindings

    /// Counts log records.
    ///
    /// - Throws: ``LogTally/Fault`` where they are too many, or cannot be looked at in time.
    func tally(_ query: LogTallyQuery, longest: Duration) async throws -> LogTally

    /// The labels of streams that are kept, with their values.
    func labels() async throws -> [String: Set<String>]

    /// Deletes what is older than it is kept, and says how many parts of it those were. What `marks` names is kept for
    /// longer.
    ///
    /// - Parameter settle: Called before something is deleted: nothing of it may come again.
    func forget(
        _ settings: TelemetryRetention, _ marks: RetentionEvidence, now: Timestamp,
        settle: @Sendable () async throws -> Void
    ) async throws -> Int

    /// How long the last drop held up whoever sends and looks; `nil` where there was none since the start.
    var lastDrop: Duration? { get }

    /// Traces that were not kept for longer since the start, for want of room.
    var unkeptTraces: Int { get }

    /// Finds a subject's records, and removes them where the order says so.
    func erase(
        _ order: ErasureOrder, tell: @escaping @Sendable (ErasureReport) -> Bool
    ) async throws -> ErasureReport

    /// Names a text in what is kept about it, without telling it.
    func digest(_ text: String) -> String

    func close() async throws
}

/// What a call of ``TelemetryStore/keep(_:now:)`` did, whether it failed on its way or not.
struct StoreOutcome {
    /// What became of records.
    struct Counts {
        var stored = 0
        var duplicate = 0
        /// Those that only said that they had begun.
        var pending = 0
        /// Those that an earlier process had put into the store.
        var replayed = 0
    }

    var counts: [TelemetrySignal: Counts] = [:]
    /// The spans that were put into the store.
    var fresh: [StoredSpan] = []
    var result: Result<Void, any Error> = .success(())
}
