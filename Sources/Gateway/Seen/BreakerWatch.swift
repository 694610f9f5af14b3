import Kernel

/// A breaker that opened or closed.
public struct BreakerChange: Sendable, Equatable {
    public let model: String
    public let target: String
    public let isOpen: Bool
    public let at: Timestamp?
    /// Why it opened; `nil` where it has closed again since.
    public let cause: String?
    public let lastFailure: String?
    public let openUntil: Timestamp?
    /// How often it opened since it was last spoken of.
    public let openings: Int
}

/// Tells when breakers open and close, by comparing what they are with what was said of them last. Pure.
///
/// A breaker that flaps is spoken of at most once in ``pause``, and a round never has more than ``changesMax`` changes:
/// what is left out comes with the next round, as one change.
struct BreakerWatch: Sendable {
    static let pause = Span.seconds(5)
    static let changesMax = 100

    private struct Told: Sendable {
        var isOpen = false
        var openings = 0
        var at: Timestamp?
    }

    private var told: [String: Told] = [:]

    mutating func changes(
        _ breakers: [(model: String, target: String, breaker: Breaker.Snapshot)], at now: Timestamp
    ) -> [BreakerChange] {
        var changes: [BreakerChange] = []
        for (model, target, breaker) in breakers where changes.count < Self.changesMax {
            let key = "\(model)\n\(target)"
            let last = told[key] ?? Told()
            let openings = breaker.openings - last.openings
            let isOpen = breaker.state != .closed
            guard openings > 0 || isOpen != last.isOpen else { continue }
            // A clock that was set back does not keep it silent.
            if let at = last.at, now >= at, now - at < Self.pause { continue }
            // One that opened and closed in between is told of in two steps.
            let tellsOpening = openings > 0
            told[key] = Told(isOpen: tellsOpening, openings: breaker.openings, at: isOpen || !tellsOpening ? now : nil)
            changes.append(
                BreakerChange(
                    model: model, target: target, isOpen: tellsOpening, at: breaker.changedAt,
                    cause: tellsOpening ? breaker.cause?.rawValue : nil,
                    lastFailure: tellsOpening ? breaker.lastFailure?.name : nil,
                    openUntil: tellsOpening ? breaker.openUntil : nil, openings: openings))
        }
        return changes
    }
}
