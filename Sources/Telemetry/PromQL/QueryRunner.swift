import Foundation
import Kernel
import Synchronization

/// Works queries out beside whatever else is going on: on threads that may wait for the disk, and a few at a time.
final class QueryRunner: Sendable {
    /// Too many queries are under way.
    struct Busy: Error {}

    private let queue = DispatchQueue(label: "reeve.telemetry.queries", attributes: .concurrent)
    private let running = Mutex(0)
    private let max: Int
    private let timeMax: Span

    /// - Parameters:
    ///   - max: How many are worked on at a time.
    ///   - time: How long each may take at most.
    init(max: Int = QueryLimits.queriesMax, time: Span = QueryLimits.time) {
        self.max = max
        timeMax = time
    }

    /// - Parameters:
    ///   - time: How long it may take; what all may take at most.
    ///   - body: Gets a function that says whether the time has run out.
    func run<Value: Sendable>(
        for time: Span = QueryLimits.time, _ body: @escaping @Sendable (@escaping @Sendable () -> Bool) throws -> Value
    ) async throws -> Value {
        let hasRoom = running.withLock { running in
            guard running < max else { return false }
            running += 1
            return true
        }
        guard hasRoom else { throw Busy() }
        // The machine's own clock: a query's time is real also where the world's is not.
        let end = ContinuousClock.now + min(time, timeMax).duration
        return try await withCheckedThrowingContinuation { continuation in
            queue.async {
                let result = Result { try body { ContinuousClock.now >= end } }
                self.running.withLock { $0 -= 1 }
                continuation.resume(with: result)
            }
        }
    }
}
