import Foundation

/// A bounded queue from async callers to threads that block on it.
///
/// `@unchecked Sendable`: every access to its variables stands between `lock` and `unlock` of one condition.
final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private var waiting: [Element] = []
    private var isClosed = false
    private var takers = 0
    private var pausing = 0
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = countMax
    }

    /// How many elements wait for a thread.
    var count: Int {
        condition.lock()
        defer { condition.unlock() }
        return waiting.count
    }

    /// Adds an element; `false` where the queue is full or closed.
    func push(_ element: Element) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed, waiting.count < countMax else { return false }
        waiting.append(element)
        // A thread that pauses would swallow the one signal that another waits for.
        if pausing > 0 { condition.broadcast() } else { condition.signal() }
        return true
    }

    /// Blocks until there is something, then takes up to `max` in their order; `nil` once closed and drained.
    func take(max: Int) -> [Element]? {
        condition.lock()
        defer { condition.unlock() }
        while waiting.isEmpty {
            if isClosed { return nil }
            condition.wait()
        }
        let taken = Array(waiting.prefix(max))
        waiting.removeFirst(taken.count)
        return taken
    }

    /// Runs `body` as one of the threads that serve this queue: what waits is theirs.
    func serving<Value>(_ body: () throws -> Value) rethrows -> Value {
        change(takers: 1)
        defer { change(takers: -1) }
        return try body()
    }

    private func change(takers delta: Int) {
        condition.lock()
        takers += delta
        condition.unlock()
    }

    /// Takes what waits where no thread serves the queue; nothing where another one does.
    func takeUnserved() -> [Element] {
        condition.lock()
        defer { condition.unlock() }
        guard takers == 0 else { return [] }
        defer { waiting = [] }
        return waiting
    }

    /// Lets the threads finish what waits, and refuses anything new.
    func close() {
        condition.lock()
        isClosed = true
        condition.broadcast()
        condition.unlock()
    }

    /// Sleeps for at most `seconds`; returns whether the queue is still open.
    func pause(seconds: Double) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        pausing += 1
        defer { pausing -= 1 }
        let end = Date(timeIntervalSinceNow: seconds)
        while !isClosed, condition.wait(until: end) {}
        return !isClosed
    }
}
