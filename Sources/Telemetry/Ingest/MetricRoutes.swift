import Kernel

/// Metrics over HTTP, in by OTLP.
public struct MetricIngestRoutes: Sendable {
    let ingest: MetricIngest
    let room: BodyRoom

    /// - Parameter room: For bodies while they are read; that of the other doors.
    public init(ingest: MetricIngest, room: BodyRoom = BodyRoom()) { (self.ingest, self.room) = (ingest, room) }

    public var routes: [Route] {
        [
            OTLPDoor(
                path: "/v1/metrics", summary: "Take in metrics", message: "ExportMetricsServiceRequest",
                example: "{\"resourceMetrics\":[{\"scopeMetrics\":[{\"metrics\":[…]}]}]}", records: "DataPoints",
                encode: { try OTLPJSON.metrics($0, refuse: $1) },
                take: { [ingest] in try await ingest.take($0, agent: $1.principal.agent, refusedBefore: $2) },
                room: room, noteCrowded: { [ingest] in ingest.noteCrowded() }
            ).route
        ]
    }
}
