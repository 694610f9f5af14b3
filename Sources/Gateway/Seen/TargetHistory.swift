import Kernel

/// The last exchanges with a target, for people who wonder how it does. Bounded in number and in age.
struct TargetHistory: Sendable {
    struct Sample: Sendable, Equatable {
        /// When it ended.
        var at: Timestamp
        var latency: Span
        /// Of a streamed answer.
        var firstToken: Span?
        var failure: String?
    }

    struct Summary: Sendable, Equatable {
        var calls = 0
        var failures = 0
        /// Of those that answered; `nil` where none did.
        var latency50: Span?
        var latency95: Span?
        var latency99: Span?
        var firstToken50: Span?
        var firstToken95: Span?
    }

    static let samplesMax = 256
    static let window = Span.minutes(10)
    /// What says nothing about the target: the request itself was at fault.
    static let callersFaults: Set<String> = [
        FailureClass.contentFilter.name, FailureClass.invalidRequest.name, FailureClass.contextLength.name,
        FailureClass.tooLarge.name,
    ]

    private var samples: [Sample] = []
    private var next = 0

    mutating func record(_ sample: Sample) {
        if samples.count < Self.samplesMax { samples.append(sample) } else { samples[next] = sample }
        next = (next + 1) % Self.samplesMax
    }

    func summary(at now: Timestamp) -> Summary {
        let recent = samples.filter { $0.at > now - Self.window }
        let answered = recent.filter { $0.failure == nil }
        let latencies = answered.map(\.latency).sorted()
        let first = answered.compactMap(\.firstToken).sorted()
        return Summary(
            calls: recent.count,
            failures: recent.count { $0.failure.map { !Self.callersFaults.contains($0) } ?? false },
            latency50: Self.quantile(0.5, latencies), latency95: Self.quantile(0.95, latencies),
            latency99: Self.quantile(0.99, latencies), firstToken50: Self.quantile(0.5, first),
            firstToken95: Self.quantile(0.95, first))
    }

    /// The nearest rank.
    private static func quantile(_ share: Double, _ sorted: [Span]) -> Span? {
        guard !sorted.isEmpty else { return nil }
        let rank = Int((share * Double(sorted.count)).rounded(.up))
        return sorted[min(max(1, rank), sorted.count) - 1]
    }
}
