import Synchronization

/// Holds what Reeve itself logs until it goes the way of all logs. Beyond ``linesMax`` the oldest lines are dropped,
/// and how many is told: they stand on the standard error all the same.
public final class LogRelay: Sendable {
    static let linesMax = 10_000

    private struct State {
        var lines: [[UInt8]] = []
        var dropped = 0
    }

    private let state = Mutex(State())

    public init() {}

    /// - Parameter line: A JSON object.
    func take(_ line: [UInt8]) {
        state.withLock { state in
            if state.lines.count >= Self.linesMax {
                state.lines.removeFirst(Self.linesMax / 10)
                state.dropped += Self.linesMax / 10
            }
            state.lines.append(line)
        }
    }

    /// What came since the last call.
    func drain() -> (lines: [[UInt8]], dropped: Int) {
        state.withLock { state in
            defer { state = State() }
            return (state.lines, state.dropped)
        }
    }
}
