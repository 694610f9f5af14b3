import Telemetry

/// Where the spans of a trace are found.
public protocol TraceReading: Sendable {
    /// The heads of a trace's spans, by their start; empty where it is not known.
    func trace(_ id: TraceID) async throws -> [SpanHead]

    /// Whether the trace is known, without reading all of it. May say no where ``trace(_:)`` finds some all the same.
    func hasTrace(_ id: TraceID) async throws -> Bool

    /// Traces that are as asked, the latest first.
    func traces(_ query: TraceQuery) async throws -> TraceFindings
}

extension TelemetryIngest: TraceReading {}
