import Kernel
import Telemetry

/// Model calls in a timeline.
public struct CallTimeline: TimelineSource {
    /// Calls whose traces are looked into.
    static let tracesMax = 50

    let service: CallService
    let storage: any Storage

    public init(service: CallService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    public func traces(of correlationID: String) async throws -> [TraceID] {
        let kept = try await storage.read {
            try service.store.traces(of: correlationID, limit: Self.tracesMax, in: $0)
        }
        return kept.compactMap { TraceID($0) }
            + running(correlationID).compactMap { $0.traceID.flatMap { TraceID($0) } }
    }

    private func running(_ correlationID: String) -> [Call] {
        var filter = CallFilter()
        filter.correlationID = correlationID
        return service.running(filter)
    }

    public func items(_ question: TimelineQuestion) async throws -> [TimelineItem] {
        let running = running(question.correlationID)
        let start = question.start(of: .call)
        let kept = try await storage.read {
            try service.store.list(
                correlation: question.correlationID, from: start.time, after: start.order, limit: question.limit,
                in: $0)
        }
        let known = Set(kept.map(\.id))
        return question.part(
            (kept + running.filter { !known.contains($0.id) }).map { call in
                TimelineItem(
                    .call, call.id.text, at: call.startedAt,
                    "\(call.model) (\(call.failure ?? call.status.rawValue))", agent: call.agent, traceID: call.traceID)
            })
    }
}
