import Kernel
import Synchronization

/// Claims that wait for work. A signal is a hint that there may be some: whoever is woken looks in the store.
public final class Wakeups: Sendable {
    private struct Waiter {
        let queues: Set<String>
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var waiters: [(id: Int, waiter: Waiter)] = []
        var nextID = 0
        var generation: [String: Int] = [:]
        var allGeneration = 0
    }

    /// Queues whose signals are remembered one by one; past that, a signal counts for all.
    private static let queuesMax = 10_000

    private let state = Mutex(State())

    public init() {}

    /// How often any of these queues was signalled so far: taken before looking in the store, so that a signal between
    /// the look and the wait is not missed.
    public func generation(_ queues: [String]) -> Int {
        state.withLock { state in queues.reduce(state.allGeneration) { $0 + (state.generation[$1] ?? 0) } }
    }

    /// Tells that a task of a queue became ready; wakes the waiter that waits longest.
    public func signal(queue: String) {
        let woken = state.withLock { state -> Waiter? in
            if state.generation.count < Self.queuesMax || state.generation[queue] != nil {
                state.generation[queue, default: 0] += 1
            } else {
                state.allGeneration += 1
            }
            let index = state.waiters.firstIndex { $0.waiter.queues.contains(queue) }
            return index.map { state.waiters.remove(at: $0).waiter }
        }
        woken?.continuation.resume()
    }

    /// Wakes everybody: something changed that may concern any of them.
    public func wakeAll() {
        let woken = state.withLock { state in
            state.allGeneration += 1
            defer { state.waiters = [] }
            return state.waiters
        }
        for entry in woken { entry.waiter.continuation.resume() }
    }

    /// Waits for a signal that came after `generation` was taken, or for the caller's cancellation.
    public func wait(_ queues: [String], since generation: Int) async {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    let now = queues.reduce(state.allGeneration) { $0 + (state.generation[$1] ?? 0) }
                    if now != generation || Task.isCancelled { return true }
                    state.waiters.append((id, Waiter(queues: Set(queues), continuation: continuation)))
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiters.remove(at: index).waiter
            }
            waiter?.continuation.resume()
        }
    }
}
