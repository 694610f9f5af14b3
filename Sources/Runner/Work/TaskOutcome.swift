import Kernel

/// Why a task's program was ended before its time.
public enum TaskStop: Sendable, Equatable {
    /// The server asked for it in a heartbeat's reply.
    case canceled
    /// The task is somebody else's, or its lease ran out: nothing is written any more.
    case lost(code: String)
    /// It ran longer than the task allows.
    case timedOut(Span)
    /// The worker itself ends.
    case shutdown
}

/// What a worker tells the server when a program has ended. Pure: decided from facts alone.
public enum TaskOutcome: Sendable, Equatable {
    /// Deliverables, then `/submit` or `/complete`.
    case finish
    /// `/release`: it counts as no attempt; where a cancel was asked for, this is its acknowledgement.
    case release
    /// `/release` with a delay: the program said that its time has not come.
    case snooze
    case fail(class: String, message: String)
    /// Nothing: the task is not this worker's any more.
    case abandon

    /// The outcome of an end. `lastWords` are the last lines that the program wrote to standard error.
    ///
    /// | exit status | outcome |
    /// |---|---|
    /// | 0 | finish |
    /// | 75 (EX_TEMPFAIL) | snooze |
    /// | 64–78 otherwise | fail, class `permanent` |
    /// | anything else, or a signal | fail, class `retryable` |
    public static func of(_ end: ProcessEnd, stop: TaskStop?, lastWords: String) -> TaskOutcome {
        switch stop {
        case .lost: return .abandon
        case .canceled: return .release
        // It ended well within the grace, and its work is not thrown away.
        case .shutdown where end == .exited(0): return .finish
        case .shutdown: return .release
        case .timedOut(let limit):
            return .fail(class: "retryable", message: "it ran longer than its \(Int(limit.seconds)) s")
        case nil: break
        }
        let message = lastWords.isEmpty ? end.description : "\(end): \(lastWords)"
        switch ExitVerdict(end) {
        case .done: return .finish
        case .temporary: return .snooze
        case .permanent: return .fail(class: "permanent", message: message)
        case .killed, .failed: return .fail(class: "retryable", message: message)
        }
    }
}

extension TaskOutcome {
    /// Seconds that a snoozed task is left alone: 1 after its first claim, doubling with each to five minutes, and up
    /// to half as much again at random. `fraction` is random in 0..<1.
    public static func snoozeSeconds(attempt: Int64, fraction: Double) -> Double {
        let seconds = min(300, Double(1 << min(max(0, attempt - 1), 30)))
        return (seconds * (1 + fraction / 2) * 1_000).rounded() / 1_000
    }
}

/// What a program wrote to standard output, as a deliverable and as the task's output.
public struct StandardOutput: Sendable, Equatable {
    /// `output.json` where all of it is one JSON document, else `output.txt`; `nil` where there is nothing.
    public let file: DeliverableFile?
    /// The document, where it is one and short enough to stand in the task itself.
    public let output: JSONValue?

    /// Bytes of a document that becomes the task's `output`.
    public static let outputBytesMax = 64 << 10

    public init(_ bytes: [UInt8]) {
        guard bytes.contains(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) else {
            file = nil
            output = nil
            return
        }
        if let document = try? JSONParser.parse(bytes) {
            file = DeliverableFile(name: "output.json", contentType: "application/json", content: bytes)
            output = bytes.count <= Self.outputBytesMax ? document : nil
        } else {
            file = DeliverableFile(name: "output.txt", contentType: "text/plain; charset=utf-8", content: bytes)
            output = nil
        }
    }
}
