import Kernel
import Synchronization

/// Calls that are the same and under way: the first asks, the others wait for its answer (`singleFlight`).
final class CallsInFlight: Sendable {
    /// Calls that wait for one; further ones ask themselves.
    static let followersMax = 1_000

    enum Role: Equatable {
        /// Nobody else asks: whoever this is must ``land(_:_:)``.
        case leader
        case follower
        /// There are followers enough.
        case alone
    }

    private struct Follower {
        let id: String
        /// Called on any thread, once; without an answer the call goes on by itself.
        let wake: @Sendable (KeptAnswer?) -> Void
    }

    private let flights = Mutex<[String: [Follower]]>([:])

    func join(_ key: String, id: String, wake: @escaping @Sendable (KeptAnswer?) -> Void) -> Role {
        flights.withLock { flights in
            guard let followers = flights[key] else {
                flights[key] = []
                return .leader
            }
            guard followers.count < Self.followersMax else { return .alone }
            flights[key, default: []].append(Follower(id: id, wake: wake))
            return .follower
        }
    }

    /// A follower waits no more.
    func leave(_ key: String, id: String) { flights.withLock { $0[key]?.removeAll { $0.id == id } } }

    /// The leader has its answer, or none.
    func land(_ key: String, _ answer: KeptAnswer?) {
        let followers = flights.withLock { $0.removeValue(forKey: key) ?? [] }
        for follower in followers { follower.wake(answer) }
    }

    var count: Int { flights.withLock { $0.count } }
}
