import Kernel
import Telemetry

/// The spans of agents in a timeline. Reeve's own are left out: the tasks, calls and deliverables that they tell of
/// stand there themselves.
public struct SpanTimeline: TimelineSource {
    let spans: TelemetryIngest

    public init(spans: TelemetryIngest) { self.spans = spans }

    public func items(_ question: TimelineQuestion) async throws -> [TimelineItem] {
        var items: [TimelineItem] = []
        for trace in question.traces {
            let heads = try await spans.trace(trace).filter { head in
                // A span may say itself that it belongs elsewhere.
                head.service != OwnNames.service
                    && [nil, question.correlationID, trace.description].contains(head.correlationID)
            }
            items += heads.map { head in
                TimelineItem(
                    .span, head.spanID.description, at: Timestamp(microseconds: head.startedAt / 1_000),
                    head.state == .ended ? head.name : "\(head.name) (\(head.state.rawValue))", agent: head.agent,
                    traceID: trace.description)
            }
            items = question.part(items)
        }
        return items
    }
}
