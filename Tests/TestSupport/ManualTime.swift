import Kernel
import Synchronization

/// A clock that stands still until a test moves it.
///
/// Whoever sleeps on it sleeps until time is moved to their moment. A test waits for a sleeper with
/// ``sleepers(atLeast:)`` before it moves time, so that no test ever sleeps itself.
public final class ManualTime: TimeSource {
    private struct Sleeper {
        let end: Timestamp
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Timestamp
        var sleepers: [Int: Sleeper] = [:]
        var watchers: [Int: (count: Int, continuation: CheckedContinuation<Void, Never>)] = [:]
        var nextID = 0

        mutating func newID() -> Int {
            nextID += 1
            return nextID
        }

        mutating func takeSatisfiedWatchers() -> [CheckedContinuation<Void, Never>] {
            let ids = watchers.filter { $0.value.count <= sleepers.count }.map(\.key)
            return ids.compactMap { watchers.removeValue(forKey: $0)?.continuation }
        }
    }

    private let state: Mutex<State>

    /// Starts at 2026-11-20T08:00:00Z, or at `now`.
    public init(_ now: Timestamp = Timestamp(microseconds: 1_795_161_600_000_000)) {
        state = Mutex(State(now: now))
    }

    public var now: Timestamp { state.withLock { $0.now } }

    /// Moves time to `moment`, forwards or backwards, and wakes whoever slept until then, the earliest first.
    public func set(_ moment: Timestamp) {
        let woken = state.withLock { state in
            state.now = moment
            let due = state.sleepers.filter { $0.value.end <= moment }.sorted {
                ($0.value.end, $0.key) < ($1.value.end, $1.key)
            }
            for (id, _) in due { state.sleepers[id] = nil }
            return due.map(\.value.continuation)
        }
        for continuation in woken { continuation.resume() }
    }

    /// Moves time on.
    public func advance(by span: Span) { set(now + span) }

    public func sleep(for span: Span) async throws {
        let id = state.withLock { $0.newID() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let (outcome, watchers) = state.withLock {
                    state -> (Result<Void, any Error>?, [CheckedContinuation<Void, Never>]) in
                    if Task.isCancelled { return (.failure(CancellationError()), []) }
                    guard span > .zero else { return (.success(()), []) }
                    state.sleepers[id] = Sleeper(end: state.now + span, continuation: continuation)
                    return (nil, state.takeSatisfiedWatchers())
                }
                for watcher in watchers { watcher.resume() }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = state.withLock { $0.sleepers.removeValue(forKey: id) }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// How many sleep at this moment.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// When the next sleeper wakes; `nil` where nobody sleeps.
    public var nextWake: Timestamp? { state.withLock { $0.sleepers.values.map(\.end).min() } }

    /// Waits until at least `count` sleep, or the caller's task is cancelled.
    public func sleepers(atLeast count: Int) async {
        let id = state.withLock { $0.newID() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.sleepers.count >= count || Task.isCancelled { return true }
                    state.watchers[id] = (count, continuation)
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.watchers.removeValue(forKey: id) }?.continuation.resume()
        }
    }
}

/// Bytes that are the same for the same seed: SplitMix64 (Steele, Lea, Flood, 2014). Never for keys outside tests.
public final class SeededEntropy: Entropy, RandomNumberGenerator {
    private let state: Mutex<UInt64>

    public init(seed: UInt64) {
        state = Mutex(seed)
    }

    public func next() -> UInt64 {
        state.withLock { state in
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    public func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 7)
        while bytes.count < count {
            withUnsafeBytes(of: next().littleEndian) { bytes.append(contentsOf: $0) }
        }
        return Array(bytes.prefix(count))
    }

    /// A number in the range, for tests that draw what they do.
    public func int(in range: ClosedRange<Int>) -> Int {
        var generator = self
        return Int.random(in: range, using: &generator)
    }

    /// One of the elements; the list may not be empty.
    public func pick<Element>(_ elements: [Element]) -> Element { elements[int(in: 0...elements.count - 1)] }
}

extension World {
    /// A world of its own: time stands still, and chance is the same for the same seed.
    public static func test(seed: UInt64 = 1, time: ManualTime = ManualTime()) -> World {
        World(time: time, entropy: SeededEntropy(seed: seed))
    }
}
