import Kernel
import Telemetry

/// Where a call stands in its trace.
public struct CallTrace: Sendable, Equatable {
    /// Of whoever had the call made: the caller, or the attempt at a task that it works on (W3C Trace Context).
    public var traceparent = ""
    /// Whether that names a span. If not, the trace begins with the call.
    public var hasParent = false
    /// What the caller passes on beside it.
    public var tracestate: String?

    /// The trace that it belongs to; `nil` where it is not known.
    var traceID: TraceID? { TraceID(String(traceparent.dropFirst(3).prefix(32))) }
}

/// What a task says of where its calls belong.
public struct TaskTrace: Sendable, Equatable {
    /// Of the attempt that holds the task.
    public let traceparent: String
    public let correlationID: String?

    public init(traceparent: String, correlationID: String?) {
        self.traceparent = traceparent
        self.correlationID = correlationID
    }
}

extension CallRecord {
    /// The call's own span; a number above 0 names that of an attempt.
    func spanID(_ attempt: Int = 0) -> SpanID { SpanID(of: id, Int64(attempt)) }

    /// Sets what the call belongs to: what its caller says first, then what its task says.
    mutating func join(_ request: DoorRequest, _ task: TaskTrace?) {
        trace.tracestate = request.tracestate
        if request.isTraced || task == nil {
            trace.traceparent = request.traceparent
            trace.hasParent = request.isTraced
        } else if let task {
            trace.traceparent = task.traceparent
            trace.hasParent = true
        }
        // A program that goes on with its task's trace belongs to what the task belongs to.
        guard !request.isCorrelated, let task, let id = task.correlationID,
            task.traceparent.utf8.prefix(CallTrace.spanAt).elementsEqual(
                trace.traceparent.utf8.prefix(CallTrace.spanAt))
        else { return }
        correlationID = id
    }

    /// What the provider is sent as `traceparent`: the same trace, from the attempt that is next.
    var traceparentOfNextAttempt: String { traceparent(spanID(attempts.count + 1)) }
    /// What calls are sent that are made for this one.
    var traceparentOfCall: String { traceparent(spanID()) }

    /// Only the span's id is another: the rest is the caller's.
    private func traceparent(_ span: SpanID) -> String {
        let given = trace.traceparent.utf8
        guard given.count == CallTrace.length else { return trace.traceparent }
        let digits = span.description.utf8
        return String(unsafeUninitializedCapacity: CallTrace.length) { buffer in
            var end = 0
            func put(_ bytes: some Sequence<UInt8>) {
                for byte in bytes {
                    buffer[end] = byte
                    end += 1
                }
            }
            put(given.prefix(CallTrace.spanAt))
            put(digits)
            put(given.suffix(CallTrace.flagsLength))
            return end
        }
    }
}

extension CallTrace {
    fileprivate static let length = 55
    /// Where the span's id stands in a `traceparent`.
    fileprivate static let spanAt = 36
    fileprivate static let flagsLength = 3
}
