import Kernel
import Synchronization
import Telemetry

/// What was served of flags since this process started, as metrics and for the page.
public final class FlagMeters: MetricSource {
    public static let evaluations = Metric.counter(
        "reeve_flag_evaluations_total",
        "Evaluations of flags since the start, by flag, variant and reason; a failed one has its error as reason.",
        labels: ["flag", "variant", "reason"], open: ["variant", "flag"])
    public static let listeners = Metric.gauge(
        "reeve_flag_listeners", "Programs that wait for changes of flags on this replica.")

    public static let metrics = [evaluations, listeners]
    /// Series that are counted by themselves; a flag of any variant and reason beyond it counts as `other`.
    static let seriesMax = 10_000
    static let other = "other"

    private struct Series: Hashable {
        let flag: String
        let variant: String
        let reason: String
    }

    private let counts = Mutex<[Series: Int64]>([:])
    private let open = Mutex(0)

    init() {}

    /// Counts evaluations, all of one question under one lock. Unknown flags are not counted: anybody could make up
    /// names of them.
    func count(_ results: some Sequence<(String, Result<FlagDecision, FlagFailure>)>) {
        let all = results.compactMap { key, result -> Series? in
            switch result {
            case .success(let decision):
                Series(flag: key, variant: decision.variant, reason: decision.reason.rawValue)
            case .failure(let failure) where failure.code == .flagNotFound: nil
            case .failure(let failure): Series(flag: key, variant: "", reason: failure.code.rawValue)
            }
        }
        guard !all.isEmpty else { return }
        counts.withLock { counts in
            for series in all {
                if counts[series] == nil, counts.count >= Self.seriesMax {
                    counts[Series(flag: Self.other, variant: Self.other, reason: series.reason), default: 0] += 1
                } else {
                    counts[series, default: 0] += 1
                }
            }
        }
    }

    /// Evaluations of a flag on this replica since its start, by variant.
    func served(_ flag: String) -> [String: Int64] {
        counts.withLock { counts in
            counts.reduce(into: [:]) { sums, entry in
                if entry.key.flag == flag, !entry.key.variant.isEmpty {
                    sums[entry.key.variant, default: 0] += entry.value
                }
            }
        }
    }

    /// Evaluations of all flags, by flag.
    func served() -> [String: Int64] {
        counts.withLock { $0.reduce(into: [:]) { $0[$1.key.flag, default: 0] += $1.value } }
    }

    func opened() { open.withLock { $0 += 1 } }

    func closed() { open.withLock { $0 -= 1 } }

    public func collect(into page: inout MetricPage) {
        var (evaluations, listeners) = (CounterFamily(Self.evaluations), GaugeFamily(Self.listeners))
        for (series, count) in counts.withLock({ $0 }) {
            evaluations.add(count, [series.flag, series.variant, series.reason])
        }
        listeners.raise(Double(open.withLock { $0 }), [])
        page.add(evaluations)
        page.add(listeners)
    }
}
