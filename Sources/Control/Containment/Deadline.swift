import Kernel

/// Work that is given up once its time is over: it is cancelled, and what it was for is told so.
enum Deadline {
    struct Passed: Error, CustomStringConvertible {
        let span: Span
        var description: String { "no answer came within \(Int64(span.seconds)) seconds" }
    }

    /// - Throws: ``Passed`` where the work takes longer; what the work throws.
    static func run<Value: Sendable>(
        within span: Span, _ world: World, _ work: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await world.time.sleep(for: span)
                throw Passed(span: span)
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw Passed(span: span) }
            return first
        }
    }
}
