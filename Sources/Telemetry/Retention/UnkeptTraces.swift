/// Traces with an error that were not kept for longer, as kept traces had no more room.
public struct UnkeptTraces: Sendable {
    /// What to do about them.
    public static let advice =
        "Kept traces take all of telemetry.keptTracesBytes: raise it, lower telemetry.keptTracesDays, or label the "
        + "traces that matter, which are kept whatever there is room for. A start of the server counts anew."
    /// Those of late that are known, so that a trace of many blocks counts once.
    static let knownMax = 100_000

    /// Since the start.
    private(set) var count = 0
    private var known = RecentSet<TraceID>(capacity: knownMax)

    mutating func note(_ traces: some Sequence<TraceID>) {
        for trace in traces where known.insert(trace) { count += 1 }
    }
}
