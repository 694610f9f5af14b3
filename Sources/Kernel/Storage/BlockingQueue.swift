import Foundation

/// A bounded queue from async callers to threads that block on it.
///
/// `@unchecked Sendable`: every access to `waiting` and `isClosed` stands between `lock` and `unlock` of one condition.
final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private var waiting: [Element] = []
    private var isClosed = false
    private let countMax: Int

    init(countMax: Int) {
        self.countMax = countMax
    }

    /// Adds an element; `false` where the queue is full or closed.
    func push(_ element: Element) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed, waiting.count < countMax else { return false }
        waiting.append(element)
        condition.signal()
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

    /// Takes what waits now, without blocking.
    func takeAll() -> [Element] {
        condition.lock()
        defer { condition.unlock() }
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
        let end = Date(timeIntervalSinceNow: seconds)
        while !isClosed, condition.wait(until: end) {}
        return !isClosed
    }
}
