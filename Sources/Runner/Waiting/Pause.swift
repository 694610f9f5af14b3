import Kernel

/// Waits that end early.
public enum Pause {
    /// Sleeps for `span` unless `promise` comes first; returns the promise's value then, `nil` after a full sleep or
    /// where the caller's task was cancelled.
    public static func sleep<Value>(_ span: Span, unless promise: Promise<Value>, _ world: World) async -> Value? {
        if let value = promise.current { return value }
        return await withTaskGroup(of: Value?.self) { group in
            group.addTask { await promise.value() }
            group.addTask {
                try? await world.time.sleep(for: span)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first ?? promise.current
        }
    }
}
