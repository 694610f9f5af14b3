import Kernel
import Synchronization

/// How often agents are asked to be heard of: seldom enough that a large fleet does not drown Reeve, and each agent a
/// little apart from the others.
///
/// The rule is Nomad's: the interval grows with the fleet, so that heartbeats a second stay at the target.
public enum HeartbeatPace {
    /// Whole seconds: `max(minimum, ceil(agents / target))`, and up to a tenth more, always the same for one agent.
    public static func seconds(agents: Int, perSecondTarget: Int, minimum: Int, agent name: String) -> Int {
        let target = max(1, perSecondTarget)
        let base = max(1, minimum, (agents + target - 1) / target)
        let spread = UInt64(base / 10 + 1)
        return base + Int(hash(name) % spread)
    }

    /// FNV-1a with SplitMix64's last step, so that names that differ in their last digit still lie far apart.
    static func hash(_ name: String) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ (hash >> 30)) &* 0xBF58_476D_1CE4_E5B9
        hash = (hash ^ (hash >> 27)) &* 0x94D0_49BB_1331_11EB
        return hash ^ (hash >> 31)
    }
}

/// How many agents there are, counted anew every few seconds, so that no heartbeat waits for a count.
final class FleetSize: Sendable {
    struct Count: Sendable, Equatable {
        /// Agents in the registry.
        var total: Int
        /// Those of them that send heartbeats: seen, and not given up on.
        var live: Int
    }

    private static let countedFor = Span.seconds(10)
    private let state = Mutex<(count: Count, until: Timestamp)?>(nil)

    /// The last count, or a new one where that is too old.
    func count(now: Timestamp, recount: () throws -> Count) rethrows -> Count {
        let kept = state.withLock { state in
            if let state, now < state.until, now >= state.until - Self.countedFor { return state.count as Count? }
            return nil
        }
        if let kept { return kept }
        let count = try recount()
        state.withLock { $0 = (count, now + Self.countedFor) }
        return count
    }

    /// One more came, before the next count.
    func grew() { state.withLock { $0?.count.total += 1 } }
}
