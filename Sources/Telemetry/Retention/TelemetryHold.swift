import Kernel

/// Records that stay whatever their time, until the hold is lifted.
public struct TelemetryHold: Sendable, Equatable {
    /// What it is on.
    public enum Target: Sendable, Equatable {
        /// What belongs to a correlation id, or to the trace with this id.
        case correlation(String)
        case trace(TraceID)
        case agent(String)
        /// What has this as the whole value of anything; see ``SubjectMatch``.
        case subject(String)
        /// Nanoseconds since 1970, as records themselves tell their time.
        case times(Range<Int64>)
    }

    public let id: String
    public let target: Target

    public init(id: String, target: Target) {
        self.id = id
        self.target = target
    }

    func holds(_ record: Archive.Record) throws -> Bool {
        switch (record, target) {
        case (.span(let span), .correlation(let id)):
            span.head.correlationID == id || span.head.traceID.description == id.lowercased()
        case (.log(let log), .correlation(let id)):
            log.correlationID == id || log.traceID?.lowercased() == id.lowercased()
        case (.span(let span), .trace(let trace)): span.head.traceID == trace
        case (.log(let log), .trace(let trace)): log.isOf(trace)
        case (.span(let span), .agent(let agent)): span.head.agent == agent
        case (.log(let log), .agent(let agent)): log.agent == agent
        case (_, .subject(let subject)): try !SubjectMatch(subject).places(in: record).isEmpty
        case (.span(let span), .times(let times)):
            span.head.startedAt < times.upperBound && span.head.endedAt >= times.lowerBound
        case (.log(let log), .times(let times)): times.contains(log.time)
        }
    }
}

extension LogRecord {
    /// Whether it belongs to a trace, by the trace's id or by it as correlation id.
    func isOf(_ trace: TraceID) -> Bool {
        [traceID, correlationID].contains { text in text.flatMap { TraceID($0) } == trace }
    }
}

/// What is known outside of the archive of records that are kept longer.
public struct RetentionEvidence: Sendable, Equatable {
    /// Traces with a label: of a human, or of an incident.
    public var traces: Set<TraceID> = []
    /// The correlation ids of those.
    public var correlations: Set<String> = []
    public var holds: [TelemetryHold] = []

    public init() {}

    /// Changes when the holds do.
    var holdsDigest: String { Digest.sha256(holds.map(\.id).sorted().joined(separator: "\n")) }
}
