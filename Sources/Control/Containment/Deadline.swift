import Kernel
import Synchronization

/// Work that is given up once its time is over: it is cancelled, and nobody waits for it to notice that.
enum Deadline {
    struct Passed: Error, CustomStringConvertible {
        let span: Span
        var description: String { "no answer came within \(Int64(span.seconds)) seconds" }
    }

    /// - Throws: ``Passed`` where the work takes longer; what the work throws.
    static func run<Value: Sendable>(
        within span: Span, _ world: World, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let outcome = FirstOutcome<Value>()
        let worker = Task {
            do { outcome.settle(.success(try await work())) } catch { outcome.settle(.failure(error)) }
        }
        let clock = Task {
            do {
                try await world.time.sleep(for: span)
                outcome.settle(.failure(Passed(span: span)))
            } catch { outcome.settle(.failure(error)) }
        }
        defer {
            worker.cancel()
            clock.cancel()
        }
        return try await withTaskCancellationHandler {
            try await outcome.value()
        } onCancel: {
            outcome.settle(.failure(CancellationError()))
        }
    }
}

/// What came first of several; what comes later is passed over.
private final class FirstOutcome<Value: Sendable>: Sendable {
    private struct State {
        var result: Result<Value, any Error>?
        var waiting: CheckedContinuation<Value, any Error>?
    }

    private let state = Mutex(State())

    func settle(_ result: Result<Value, any Error>) {
        let waiting = state.withLock { state -> CheckedContinuation<Value, any Error>? in
            guard state.result == nil else { return nil }
            state.result = result
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume(with: result)
    }

    /// Asked once.
    func value() async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let known = state.withLock { state -> Result<Value, any Error>? in
                if state.result == nil { state.waiting = continuation }
                return state.result
            }
            if let known { continuation.resume(with: known) }
        }
    }
}
