import Kernel
import Synchronization

/// Follows the event log over broken connections: each new one begins behind the last event that came.
public struct EventFollower: Sendable {
    private let client: ReeveClient
    private let path: String
    private let after: String?

    /// `after` is the number to begin behind; from now where it is `nil`.
    public init(client: ReeveClient, query: [(String, String?)], after: String?) {
        self.client = client
        self.path = ReeveClient.path("api", "v1", "events", "stream", query: query)
        self.after = after
    }

    /// Hands over events until `limit` have come, or until the caller's task is cancelled. Throws ``ClientFailure``
    /// where the server refuses, or cannot be reached at all.
    public func run(limit: Int?, each: @escaping @Sendable (JSONValue) -> Void) async throws {
        let position = Mutex((last: after, count: 0))
        var failures = 0
        while !Task.isCancelled {
            let before = position.withLock { $0.count }
            do {
                try await client.events(path, lastEventID: position.withLock { $0.last }) { event in
                    guard let json = try? JSONParser.parse(event.data, depthMax: Limits.jsonDepthStored),
                        json["seq"] != nil
                    else { return true }
                    each(json)
                    return position.withLock { position in
                        position.last = event.id ?? json["seq"]?.int.map { String($0) } ?? position.last
                        position.count += 1
                        return limit.map { position.count < $0 } ?? true
                    }
                }
            } catch let failure as ClientFailure {
                let isPassing =
                    switch failure {
                    case .unreachable: true
                    case .refused(let refusal): refusal.status == 429 || refusal.status >= 500
                    case .unreadable, .noKey: false
                    }
                // A server that never answered is a mistake in the address; one that did may be restarting.
                guard isPassing, position.withLock({ $0.count }) > 0 || failures < 5 else { throw failure }
            }
            let now = position.withLock { $0.count }
            if let limit, now >= limit { return }
            failures = now > before ? 0 : failures + 1
            let ceiling = Span.milliseconds(Int64(200) << min(failures, 6))
            try await client.world.time.sleep(for: ceiling * client.world.entropy.fraction())
        }
    }
}
