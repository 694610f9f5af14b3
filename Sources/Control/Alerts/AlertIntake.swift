import Kernel
import Synchronization
import Telemetry

/// How many alerts may fire at one time: whoever floods takes nobody else's room, and never that of Reeve's own rules.
public struct AlertShares: Sendable {
    /// Alerts of rules.
    public var ofRules: Int64 = 10_000
    /// Alerts that others post.
    public var posted: Int64 = 10_000
    /// Alerts that one of these posts.
    public var ofSource: Int64 = 5_000

    public init() {}
}

/// What became of alerts that somebody told of.
public struct AlertIntake: Sendable {
    /// Why an alert is not taken.
    public enum Reason: String, Sendable, CaseIterable {
        /// As many alerts of rules fire as there may be.
        case rules
        /// As many alerts that were posted fire as there may be.
        case posted
        /// As many alerts of whoever posts fire as one may have.
        case source
        /// Its labels and annotations are too long.
        case size

        func sentence(_ shares: AlertShares) -> String {
            switch self {
            case .rules: "\(shares.ofRules) alerts of rules fire already, as many as there may be"
            case .posted: "\(shares.posted) alerts that were posted fire already, as many as there may be"
            case .source: "\(shares.ofSource) alerts of this sender fire already, as many as one may have"
            case .size: "its labels have more than \(Alert.bytesMax) bytes"
            }
        }
    }

    let shares: AlertShares
    public internal(set) var changes: [AlertChange] = []
    /// The first of those that were not taken, and how many there were.
    private(set) var refused: [Reason: (first: LabelSet, count: Int64)] = [:]
    private var all: Set<LabelSet> = []

    init(_ shares: AlertShares) { self.shares = shares }

    mutating func refuse(_ labels: LabelSet, _ reason: Reason) {
        refused[reason, default: (labels, 0)].count += 1
        all.insert(labels)
    }

    func isRefused(_ labels: LabelSet) -> Bool { all.contains(labels) }

    /// What was not taken and why; `nil` where all was.
    public var problem: Problem? {
        guard !refused.isEmpty else { return nil }
        let parts = Reason.allCases.compactMap { reason in
            refused[reason].map { first, count in
                "\(count) refused, such as \(String(first.object.text.prefix(200))): \(reason.sentence(shares))"
            }
        }
        return Problem(
            .overloaded, parts.joined(separator: "; ") + ". Ends, and what fires already, were taken.",
            hint: "A rule with too many labels is the usual cause: aggregate its expression with `by`.",
            retryAfterSeconds: 60)
    }
}

/// Counts what is not taken, for those who look at the whole.
public final class AlertMeters: MetricSource {
    public static let refused = Metric.counter(
        "reeve_alerts_refused_total",
        "Alerts that were not taken, by why: no room for those of rules, for posted ones, or for those of one sender; "
            + "or their size.",
        labels: ["reason"])
    public static let metrics = [refused]

    private let family = Mutex(CounterFamily(refused))

    public init() {
        family.withLock { family in
            for reason in AlertIntake.Reason.allCases { family.add(0, [reason.rawValue]) }
        }
    }

    func count(_ intake: AlertIntake) {
        guard !intake.refused.isEmpty else { return }
        family.withLock { family in
            for (reason, (_, count)) in intake.refused { family.add(count, [reason.rawValue]) }
        }
    }

    /// Of one that is refused before anybody takes it.
    func count(_ reason: AlertIntake.Reason) { family.withLock { $0.add(1, [reason.rawValue]) } }

    public func collect(into page: inout MetricPage) { page.add(family.withLock { $0 }) }
}

extension AlertPost {
    /// Bytes of all that is kept of it as text.
    var bytes: Int {
        labels.pairs.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
            + annotations.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count } + generatorURL.utf8.count
    }

    /// With the longest annotations cut, so that it is no larger than ``Alert/bytesMax``; `nil` where its labels are.
    var fitted: AlertPost? {
        var post = self
        var over = post.bytes - Alert.bytesMax
        guard over > 0 else { return post }
        for (name, text) in annotations.sorted(by: { ($1.value.utf8.count, $0.key) < ($0.value.utf8.count, $1.key) })
        where over > 0 {
            let kept = max(0, text.utf8.count - over - AlertPost.cut.utf8.count)
            var shorter = String(decoding: text.utf8.prefix(kept), as: UTF8.self)
            // A character that was cut in two.
            while shorter.utf8.count > kept { shorter.removeLast() }
            post.annotations[name] = shorter + AlertPost.cut
            over = post.bytes - Alert.bytesMax
        }
        return over > 0 ? nil : post
    }

    private static let cut = "…"
}
