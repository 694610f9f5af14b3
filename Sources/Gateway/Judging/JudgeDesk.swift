import Kernel
import Synchronization
import Telemetry

/// Answers that wait for their judges. Bounded: an answer is not judged rather than waited for.
final class JudgeDesk: Sendable {
    /// Answers that wait; further ones are dropped, and counted.
    static let waitingMax = 200
    /// Judges that are asked at the same time.
    static let runningMax = 4
    /// Verdicts that wait to stand in their records; of more the oldest are forgotten.
    static let verdictsMax = 5_000

    private struct State {
        var waiting: [JudgeCase] = []
        var running = 0
        var verdicts: [Judgement] = []
        var outcomes = CounterFamily(JudgeMetrics.outcomes)
        var scores = HistogramFamily(JudgeMetrics.scores, bounds: JudgeMetrics.scoreBounds)
    }

    private let state = Mutex(State())

    /// Takes an answer; returns it where its judge may be asked now.
    func submit(_ new: JudgeCase) -> JudgeCase? {
        state.withLock { state in
            if state.running < Self.runningMax {
                state.running += 1
                return new
            }
            if state.waiting.count < Self.waitingMax {
                state.waiting.append(new)
            } else {
                state.outcomes.add(1, [new.model, Judgement.Outcome.dropped.rawValue])
            }
            return nil
        }
    }

    /// A judge is done; returns the answer that comes next.
    func finished(_ done: JudgeCase, _ judgement: Judgement) -> JudgeCase? {
        state.withLock { state in
            state.outcomes.add(1, [done.model, judgement.outcome.rawValue])
            if let score = judgement.score { state.scores.observe(score, [done.model]) }
            Self.keep([judgement], in: &state)
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            return state.waiting.removeFirst()
        }
    }

    /// The verdicts that came since this was last asked.
    func takeVerdicts() -> [Judgement] {
        state.withLock { state in
            defer { state.verdicts = [] }
            return state.verdicts
        }
    }

    /// Verdicts that could not be written down yet.
    func giveBack(_ verdicts: [Judgement]) { state.withLock { Self.keep(verdicts, in: &$0) } }

    private static func keep(_ verdicts: [Judgement], in state: inout State) {
        state.verdicts += verdicts
        if state.verdicts.count > verdictsMax { state.verdicts.removeFirst(state.verdicts.count - verdictsMax) }
    }

    var counts: (waiting: Int, running: Int, verdicts: Int) {
        state.withLock { ($0.waiting.count, $0.running, $0.verdicts.count) }
    }

    func collect(into page: inout MetricPage) {
        let (outcomes, scores, waiting) = state.withLock { ($0.outcomes, $0.scores, $0.waiting.count) }
        page.add(outcomes)
        page.add(scores)
        page.add(JudgeMetrics.waiting, Double(waiting))
    }
}

/// The metrics of judges.
enum JudgeMetrics {
    static let outcomes = Metric.counter(
        "reeve_gateway_judged_answers_total",
        "Answers that were picked for a judge, by what came of it: scored, unreadable, refused, failed, dropped.",
        labels: ["model", "outcome"], open: ["model"])
    static let scores = Metric.histogram(
        "reeve_gateway_judge_score", "How judges scored answers, from 0 to 1, by the model that answered.",
        labels: ["model"], open: ["model"])
    static let waiting = Metric.gauge("reeve_gateway_judge_waiting", "Answers that wait for their judges.")

    static let all = [outcomes, scores, waiting]
    static let scoreBounds = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
}
