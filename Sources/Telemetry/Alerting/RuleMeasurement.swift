import Foundation
import Kernel

/// How long rules take: rounds of evaluations over the series of a rule test, in a store as a server has it.
public struct RuleMeasurement: Sendable {
    /// One evaluation of all rules.
    public struct Round: Sendable {
        /// Seconds of the processor, and of the clock.
        public let work: Double
        public let time: Double
        /// Alerts that fire, and series that were recorded.
        public let firing: Int
        public let recorded: Int
        public let faults: Int
    }

    /// Between two rounds, in milliseconds.
    private static let roundInterval: Int64 = 60_000
    /// Noon of a day, so that no round is on another day than its samples.
    private static let noon: Int64 = 20_000 * 86_400_000 + 43_200_000
    private static let batchSamples = 100_000

    private let test: RuleTestFile.Test
    private let groups: [RuleProgram.Group]

    /// - Parameter file: The series of its first test are taken; what it expects is not looked at.
    /// - Returns: `nil` where there is no test.
    public init?(_ file: RuleTestFile, rules: [RuleProgram]) {
        guard let test = file.tests.first else { return nil }
        self.test = test
        groups = rules.flatMap(\.groups)
    }

    public var rules: Int { groups.reduce(0) { $0 + $1.rules.count } }
    public var series: Int { test.series.count }
    public var samples: Int { test.series.reduce(0) { $0 + $1.values.count } }

    /// - Parameters:
    ///   - folder: A new one for the store.
    ///   - count: Rounds, a minute apart; the last at the last sample.
    public func rounds(_ count: Int, in folder: String) async throws -> [Round] {
        let length = Int64(test.series.map(\.values.count).max() ?? 0) * test.interval
        let clock = StandingTime(now: Timestamp(microseconds: (Self.noon + length) * 1_000))
        let store = try SeriesStore(
            folder: folder, quota: 4 << 30, days: 2, seriesMax: SeriesStore.seriesMax,
            world: World(time: clock, entropy: SystemEntropy()))
        var runner = RuleRunner()
        var rounds: [Round] = []
        var done: Int64 = -1
        for round in 0..<count {
            let now = Self.noon + length - Int64(count - 1 - round) * Self.roundInterval
            try await fill(store, after: done, through: now)
            done = now
            rounds.append(try await self.round(&runner, over: store, at: now))
        }
        try await store.close()
        return rounds
    }

    private func fill(_ store: SeriesStore, after: Int64, through: Int64) async throws {
        var batch = SampleBatch()
        for (labels, values) in test.series {
            for (place, value) in values.enumerated() {
                let time = Self.noon + Int64(place) * test.interval
                guard let value, time > after, time <= through else { continue }
                batch.append(labels, Sample(time, value))
            }
            guard batch.count >= Self.batchSamples else { continue }
            try await store.keep(batch)
            batch = SampleBatch()
        }
        try await store.keep(batch)
    }

    private func round(_ runner: inout RuleRunner, over store: SeriesStore, at now: Int64) async throws -> Round {
        let (began, work) = (ContinuousClock.now, Self.work())
        var (recorded, faults) = (0, 0)
        for (number, group) in groups.enumerated() {
            var batch = SampleBatch()
            // As ``RuleEngine`` does it.
            let fresh = FreshSeries(over: store, at: now)
            let outcome = runner.evaluate(group, number: number, by: RuleEvaluation(reader: fresh), at: now) {
                fresh.add($0, $1)
                batch.append($0, Sample(now, $1))
            }
            faults += outcome.faults.count
            recorded += batch.count
            try await store.keep(batch)
        }
        let took = ContinuousClock.now - began
        return Round(
            work: Self.work() - work,
            time: Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18,
            firing: runner.firing.count, recorded: recorded, faults: faults)
    }

    /// Seconds that this process had of the processor.
    private static func work() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// A clock that stands: the samples bring their own times.
private struct StandingTime: TimeSource {
    let now: Timestamp

    func sleep(for _: Span) async throws {
        try Task.checkCancellation()
        await Task.yield()
    }
}
