import Kernel
import Telemetry

/// What whoever creates tasks says of what they belong to.
public struct TaskCaller: Sendable {
    /// Empty where nobody says so.
    var correlationID = ""
    /// Whether the caller named it; else it is the trace's id.
    var isCorrelated = false
    var traceparent = ""
    /// Whether the caller named the trace; else it was made for the request.
    var isTraced = false
    var tracestate: String?

    /// Somebody who says nothing, as a schedule.
    public static let nobody = TaskCaller()

    public init() {}

    init(_ request: APIRequest) {
        correlationID = request.correlationID
        isCorrelated = request.isCorrelated
        traceparent = request.traceparent
        isTraced = request.isTraced
        tracestate = request.tracestate
    }

    /// A task is done anew: what it belongs to stays.
    init(again task: AgentTask) {
        correlationID = task.correlationID ?? ""
        isCorrelated = task.correlationID != nil
        traceparent = task.traceparent ?? ""
        isTraced = task.traceparent != nil
        tracestate = task.tracestate
    }
}

/// What a task belongs to: found by its own words, then its caller's, then by the first task that it depends on.
struct TaskPlace: Sendable {
    let correlationID: String
    let traceparent: String
    let tracestate: String?
    /// Whether the trace begins with the task.
    let isRoot: Bool

    /// - Parameters:
    ///   - parent: The first task that it depends on.
    ///   - known: What else is known of a trace's correlation id.
    init(
        _ draft: TaskDraft, _ id: TaskID, _ caller: TaskCaller, parent: AgentTask?, known: (TraceID) -> String?
    ) {
        let isNamed = draft.traceparent != nil || caller.isTraced
        if let traceparent = draft.traceparent {
            (self.traceparent, tracestate, isRoot) = (traceparent, draft.tracestate, false)
        } else if caller.isTraced {
            (traceparent, tracestate, isRoot) = (caller.traceparent, caller.tracestate, false)
        } else if let inherited = parent?.traceparent {
            (traceparent, tracestate, isRoot) = (inherited, parent?.tracestate, false)
        } else if !caller.traceparent.isEmpty {
            (traceparent, tracestate, isRoot) = (caller.traceparent, nil, true)
        } else {
            let made = TraceContext(TraceID(of: id.text), SpanID(of: id.text))
            (traceparent, tracestate, isRoot) = (made.traceparent, nil, true)
        }
        let trace = TraceContext(traceparent)?.traceID
        if let named = draft.correlationID ?? (caller.isCorrelated ? caller.correlationID : nil) {
            correlationID = named
        } else if !isNamed, let inherited = parent?.correlationID {
            correlationID = inherited
        } else if let bound = trace.flatMap(known) {
            correlationID = bound
        } else if draft.traceparent == nil, !caller.correlationID.isEmpty {
            correlationID = caller.correlationID
        } else {
            correlationID = trace?.description ?? id.text
        }
    }
}

extension AgentTask {
    /// Whose work the attempts at it are a part of.
    var place: TraceContext {
        traceparent.flatMap(TraceContext.init) ?? TraceContext(TraceID(of: id.text), SpanID(of: id.text))
    }

    /// The span of the attempt that a fence stands for: its worker's spans and calls hang below it.
    func attemptContext(_ fence: Int64) -> TraceContext { place.child(SpanID(of: id.text, fence)) }
}
