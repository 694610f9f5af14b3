import Gateway
import Kernel

/// Where a connection stands with its current request.
extension ConnectionHandler {
    enum State {
        case idle
        /// The store is asked whose key it is. What comes of the body meanwhile waits.
        case asking(Intake)
        /// The body comes.
        case reading(Intake)
        /// The handler runs; the request was read to its end.
        case running(Run)
        /// The reply is written, and the rest of the request is skipped.
        case skipping
        case closed
    }

    /// Parts of requests that the decoder made of some bytes.
    struct Decoded {
        var heads = 0
        var bodies = 0
        var ends = 0
        /// The last of the heads.
        var head: RequestHead?
    }

    /// A request that is not read to its end. An object, as the state refers to it again and again.
    final class Intake {
        var visit: Admission.Visit
        let start: Timestamp
        var body: [UInt8] = []
        var isComplete = false
        var task: Task<Void, Never>?

        init(visit: Admission.Visit, start: Timestamp) {
            self.visit = visit
            self.start = start
        }
    }

    /// A request that is being answered.
    final class Run {
        let visit: Admission.Visit
        let start: Timestamp
        let work: Work
        private let inFlight: RequestMeters.InFlight
        var isStream = false
        /// Whether the reader of a stream has gone, whose end comes a moment later.
        var hasLeft = false

        init(visit: Admission.Visit, start: Timestamp, work: Work, _ meters: RequestMeters) {
            inFlight = meters.begin()
            self.visit = visit
            self.start = start
            self.work = work
        }

        /// What answers it: a handler in a task of its own, or a call on this loop.
        enum Work {
            case task(Task<Void, Never>)
            case call(any AnsweredCall)
        }

        var isCall: Bool { if case .call = work { true } else { false } }

        func cancel() {
            switch work {
            case .task(let task): task.cancel()
            case .call(let call): call.clientLeft()
            }
        }
    }
}
