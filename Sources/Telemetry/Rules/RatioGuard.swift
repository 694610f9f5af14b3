/// A share of failures that means something: with little traffic, one failure is a large share and says nothing.
///
/// A rule on a ratio asks for three things: the ratio itself, enough events, and that the lower end of the ratio's
/// interval (Wilson, "Probable inference, the law of succession, and statistical inference", 1927; two-sided 95 %) is
/// above half of the threshold.
struct RatioGuard {
    /// What the recorded series are named after, such as `agent:reeve_model_calls_failed`.
    let part: String
    /// What ``part`` is a share of.
    let whole: String
    /// The window, in Prometheus' words.
    let window: String

    private var partCount: String { "\(part):increase\(window)" }
    private var wholeCount: String { "\(whole):increase\(window)" }
    var ratio: String { "\(part):ratio\(window)" }
    /// The lower end of the ratio's 95 % interval.
    var lower: String { "\(part):wilson_lower\(window)" }

    /// The series that conditions need.
    ///
    /// - Parameters:
    ///   - partIncrease: What counts the part, as an expression over the window.
    ///   - wholeIncrease: What counts the whole, with the same labels.
    func rules(part partIncrease: String, whole wholeIncrease: String) -> [Rule] {
        [
            .recording(RecordingRule(name: wholeCount, expression: wholeIncrease)),
            // Who never failed has no series of failures, and yet a ratio.
            .recording(RecordingRule(name: partCount, expression: "\(partIncrease) or 0 * \(wholeCount)")),
            .recording(
                RecordingRule(name: ratio, expression: "clamp_max(\(partCount) / (\(wholeCount) > 0), 1)")),
            .recording(RecordingRule(name: lower, expression: lowerBound)),
        ]
    }

    /// (p + z²/2n − z √((p(1−p) + z²/4n) / n)) / (1 + z²/n), with z = 1.96.
    private var lowerBound: String {
        """
        (
          \(ratio) + 1.9208 / \(wholeCount)
          - 1.96 * sqrt((\(ratio) * (1 - \(ratio)) + 0.9604 / \(wholeCount)) / \(wholeCount))
        )
        / (1 + 3.8416 / \(wholeCount))
        """
    }

    /// True where the ratio is above a threshold, and there were more events than so many in the window.
    func condition(above threshold: Double, events: Int) -> String {
        "\(ratio) > \(threshold) and \(lower) > \(threshold / 2) and \(wholeCount) > \(events)"
    }

    /// The same, with so many of the part itself.
    ///
    /// - Parameter surely: What the lower end of the interval is above; half of the threshold unless given.
    func condition(above threshold: Double, eventsOfPart: Int, surely: Double? = nil) -> String {
        "\(ratio) > \(threshold) and \(lower) > \(surely ?? threshold / 2) and \(partCount) > \(eventsOfPart)"
    }
}
