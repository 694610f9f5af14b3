import Kernel
import Synchronization

/// Who the last credentials were, so that a busy agent does not ask the store with every request.
///
/// Bounded in number and in time: what another replica revokes is known here after ``lifetime`` at the latest, and what
/// this process revokes at once.
final class AccessCache: Sendable {
    static let entriesMax = 10_000
    static let lifetime = Span.seconds(5)
    /// Uses of one key within this span count as one, so that the hot path writes seldom.
    private static let useResolution = Span.seconds(1)

    private struct Entry {
        let principal: Principal
        let expiresAt: Timestamp
        var usedAt: Timestamp
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// Last uses that are not in the store yet, by key id.
        var used: [String: Timestamp] = [:]
    }

    private let state = Mutex(State())
    /// Counts revocations, so that an answer that was read before one is not kept after it. Changed under the lock, and
    /// asked with each request.
    private let revocations = Atomic<UInt64>(0)

    /// How many revocations this process has seen.
    var generation: UInt64 { revocations.load(ordering: .acquiring) }

    /// The principal of a fingerprint, if it was seen lately.
    func principal(_ fingerprint: String, at now: Timestamp) -> Principal? {
        state.withLock { state in
            guard let index = state.entries.index(forKey: fingerprint) else { return nil }
            let entry = state.entries.values[index]
            guard entry.expiresAt > now else {
                state.entries.remove(at: index)
                return nil
            }
            if now - entry.usedAt >= Self.useResolution {
                state.entries.values[index].usedAt = now
                state.used[entry.principal.keyID] = now
            }
            return entry.principal
        }
    }

    /// Keeps an answer of the store, unless something was revoked since `generation`.
    func keep(_ principal: Principal, for fingerprint: String, generation: UInt64, at now: Timestamp) {
        state.withLock { state in
            state.used[principal.keyID] = now
            guard revocations.load(ordering: .acquiring) == generation else { return }
            if state.entries.count >= Self.entriesMax { Self.makeRoom(&state, at: now) }
            state.entries[fingerprint] = Entry(principal: principal, expiresAt: now + Self.lifetime, usedAt: now)
        }
    }

    private static func makeRoom(_ state: inout State, at now: Timestamp) {
        state.entries = state.entries.filter { $0.value.expiresAt > now }
        if state.entries.count >= entriesMax { state.entries = [:] }
    }

    /// Forgets a key and its sessions.
    func forget(keyID: String) {
        state.withLock { state in
            revocations.add(1, ordering: .acquiringAndReleasing)
            state.entries = state.entries.filter { $0.value.principal.keyID != keyID }
        }
    }

    /// Forgets one credential.
    func forget(fingerprint: String) {
        state.withLock { state in
            revocations.add(1, ordering: .acquiringAndReleasing)
            state.entries[fingerprint] = nil
        }
    }

    /// Takes at most `limit` uses that the store does not know yet.
    func takeUses(limit: Int) -> [(keyID: String, at: Timestamp)] {
        state.withLock { state in
            let taken = state.used.prefix(limit).map { (keyID: $0.key, at: $0.value) }
            for use in taken { state.used[use.keyID] = nil }
            return taken
        }
    }
}
