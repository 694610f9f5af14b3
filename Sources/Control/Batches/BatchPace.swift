import Kernel
import Synchronization

/// How fast a batch asks: at full width, or one request at a time where its provider has no time for it.
///
/// After a refusal nobody is asked for a while that doubles with each further one, and then a single request finds out.
final class BatchPace: Sendable {
    static let pauseFirst = Span.seconds(1)
    static let pauseMax = Span.minutes(5)

    private struct State {
        /// Refusals in a row.
        var refusals = 0
        var until = Timestamp(microseconds: 0)
        var inFlight: Set<Int64> = []
    }

    private let state = Mutex(State())

    /// Requests at one time.
    func width(_ full: Int) -> Int { state.withLock { $0.refusals == 0 ? full : 1 } }

    /// How long nobody is asked.
    func pause(at now: Timestamp) -> Span? {
        state.withLock { $0.until > now ? $0.until - now : nil }
    }

    var inFlight: [Int64] { state.withLock { Array($0.inFlight) } }

    func began(_ number: Int64) { state.withLock { _ = $0.inFlight.insert(number) } }

    /// A request is answered: `isTaken` where its provider had time for it.
    func ended(_ number: Int64, isTaken: Bool, retryAfterSeconds: Int64? = nil, at now: Timestamp) {
        state.withLock { state in
            state.inFlight.remove(number)
            guard !isTaken else {
                state.refusals = 0
                state.until = Timestamp(microseconds: 0)
                return
            }
            // Those that were in flight together are one refusal.
            guard state.until <= now else { return }
            let doubled = Self.pauseFirst.microseconds << min(state.refusals, 20)
            let asked = Span.seconds(max(0, retryAfterSeconds ?? 0))
            let pause = min(Self.pauseMax, max(Span(microseconds: doubled), asked))
            state.refusals += 1
            state.until = now + pause
        }
    }

    /// A request that was not asked after all.
    func withdrew(_ number: Int64) { state.withLock { _ = $0.inFlight.remove(number) } }
}
