import Foundation

/// A bounded queue from async callers to threads that block on it.
///
/// `@unchecked Sendable`: every access to its variables stands between `lock` and `unlock` of one condition.
final class BlockingQueue<Element: Sendable>: @unchecked Sendable {
    /// How long a thread lets elements gather that are not urgent.
    struct Gathering {
        /// Seconds since the thread took something last: who comes to an idle queue waits for nobody.
        var window: Double
        /// As many are worth going for at once.
        var enough: Int
    }

    private let condition = NSCondition()
    private var waiting: [Element] = []
    private var urgentCount = 0
    private var takenAt: ContinuousClock.Instant?
    /// How many elements wake the thread that gathers; `nil` while none does.
    private var wakesAt: Int?
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
    func push(_ element: Element, isUrgent: Bool = true) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isClosed, waiting.count < countMax else { return false }
        waiting.append(element)
        if isUrgent { urgentCount += 1 }
        // Whoever gathers sleeps until it is worth it: to be woken for each costs more than gathering saves.
        if let wakesAt, urgentCount == 0, waiting.count < wakesAt { return true }
        // A thread that pauses would swallow the one signal that another waits for.
        if pausing > 0 { condition.broadcast() } else { condition.signal() }
        return true
    }

    /// Blocks until there is something, then takes up to `max` in their order; `nil` once closed and drained.
    ///
    /// - Parameter gathering: how long to wait for more where nothing urgent waits; for a queue with one thread.
    func take(max: Int, gathering: Gathering? = nil) -> [Element]? {
        condition.lock()
        defer { condition.unlock() }
        while waiting.isEmpty {
            if isClosed { return nil }
            condition.wait()
        }
        if let gathering { gather(gathering) }
        let taken = Array(waiting.prefix(max))
        waiting.removeFirst(taken.count)
        // Of those that are left some may be urgent: then all are.
        urgentCount = urgentCount > 0 ? waiting.count : 0
        return taken
    }

    private func gather(_ gathering: Gathering) {
        let clock = ContinuousClock()
        if let end = takenAt?.advanced(by: .seconds(gathering.window)) {
            wakesAt = gathering.enough
            while !isClosed, urgentCount == 0, waiting.count < gathering.enough, clock.now < end {
                let left = clock.now.duration(to: end) / .seconds(1)
                _ = condition.wait(until: Date(timeIntervalSinceNow: left))
            }
            wakesAt = nil
        }
        takenAt = clock.now
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
