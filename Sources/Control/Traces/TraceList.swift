import Kernel
import Telemetry

/// Where the spans of a trace are found.
public protocol TraceReading: Sendable {
    /// The heads of a trace's spans, by their start; empty where it is not known.
    func trace(_ id: TraceID) async throws -> [SpanHead]

    /// Whether the trace is known, without reading all of it. May say no where ``trace(_:)`` finds some all the same.
    func hasTrace(_ id: TraceID) async throws -> Bool
}

extension TelemetryIngest: TraceReading {}

/// Where recent traces are listed.
public protocol TraceList: Sendable {
    /// The newest first.
    func traces(_ query: TraceListQuery) async throws -> (items: [TraceSummary], next: String?)
}

/// Which traces are wanted: the query of `GET /api/v1/traces`.
public struct TraceListQuery: Sendable {
    public var since: Timestamp?
    public var until: Timestamp?
    public var service: String?
    public var agent: String?
    /// `ok`, `error`, or a state.
    public var status: String?
    public var correlationID: String?
    public var page: Page

    public init(page: Page) { self.page = page }
}

/// A trace as a line of a list.
public struct TraceSummary: Sendable, Equatable {
    public var traceID: TraceID
    public var rootName: String
    public var service: String
    public var agent: String?
    public var startedAt: Timestamp
    public var duration: Span
    public var spans: Int
    public var errors: Int
    public var tokens: Int64
    public var correlationID: String?
    public var state: SpanHead.State

    public init(traceID: TraceID, rootName: String, service: String, startedAt: Timestamp, duration: Span, spans: Int) {
        self.traceID = traceID
        self.rootName = rootName
        self.service = service
        self.startedAt = startedAt
        self.duration = duration
        self.spans = spans
        agent = nil
        errors = 0
        tokens = 0
        correlationID = nil
        state = .ended
    }
}
