import Kernel

/// Runs rule tests: the rules are evaluated over the tests' own series, from 1970 on.
public struct RuleTestRun {
    /// What was found to be otherwise than expected.
    public struct Failure: Sendable {
        public let test: String
        /// The line of the expectation.
        public let line: Int
        public let text: String
    }

    /// Evaluations of a test: a year of them at one a minute.
    static let stepsMax = 600_000
    /// How far a value may be from what is expected, as a part of it.
    static let tolerance = 1e-9

    private let file: RuleTestFile
    private let groups: [RuleProgram.Group]

    public init(_ file: RuleTestFile, rules: [RuleProgram]) {
        self.file = file
        let order = Dictionary(file.groupOrder.enumerated().map { ($0.element, $0.offset) }) { first, _ in first }
        groups = rules.flatMap(\.groups).enumerated().sorted { left, right in
            let places = (order[left.element.name] ?? .max, order[right.element.name] ?? .max)
            return places.0 == places.1 ? left.offset < right.offset : places.0 < places.1
        }.map(\.element)
    }

    public func failures() -> [Failure] { file.tests.flatMap(failures) }

    private func failures(_ test: RuleTestFile.Test) -> [Failure] {
        let bench = SeriesBench()
        for (labels, values) in test.series {
            for (place, value) in values.enumerated() {
                if let value { bench.add(labels, Int64(place) * test.interval, value) }
            }
        }
        let end = (test.alerts.map(\.time) + test.queries.map(\.time)).max() ?? 0
        guard end / file.evaluationInterval <= Self.stepsMax else {
            return [failure(test, test.line, "it takes more than \(Self.stepsMax) evaluations")]
        }
        var evaluation = RuleEvaluation(reader: bench)
        evaluation.externalLabels = test.externalLabels
        evaluation.externalURL = test.externalURL
        var course = RuleTestCourse(groups, by: evaluation, over: bench, every: file.evaluationInterval)
        course.run(through: end, looking: test.alerts)
        var failures = course.faults.map { failure(test, test.line, $0) }
        for (expected, firing) in zip(test.alerts, course.firing) { failures += compare(firing, expected, test) }
        return failures + test.queries.flatMap { compare($0, bench, test) }
    }

    private func failure(_ test: RuleTestFile.Test, _ line: Int, _ text: String) -> Failure {
        Failure(test: test.name.isEmpty ? "line \(test.line)" : test.name, line: line, text: text)
    }

    // MARK: Comparing

    private func compare(
        _ firing: [AlertInstance], _ expected: RuleTestFile.ExpectedAlerts, _ test: RuleTestFile.Test
    ) -> [Failure] {
        let found = firing.map { "\($0.labels) \(LabelSet($0.annotations.map { ($0.key, $0.value) }))" }.sorted()
        let wanted = expected.alerts.map { "\($0.labels) \($0.annotations)" }.sorted()
        guard found != wanted else { return [] }
        func list(_ alerts: [String]) -> String {
            alerts.isEmpty ? " none" : alerts.map { "\n    \($0)" }.joined()
        }
        return [
            failure(
                test, expected.line,
                "alert \(expected.name) at \(seconds(expected.time)):\n  expected:\(list(wanted))\n  "
                    + "found:\(list(found))")
        ]
    }

    private func compare(
        _ expected: RuleTestFile.ExpectedSamples, _ bench: SeriesBench, _ test: RuleTestFile.Test
    ) -> [Failure] {
        let found: [(labels: LabelSet, value: Double)]
        do {
            switch try expected.query.answer(at: expected.time, from: bench) {
            case .vector(let series): found = series.map { ($0.labels, $0.samples[0].value) }
            case .scalar(let sample): found = [(.none, sample.value)]
            case .string, .matrix: found = []
            }
        } catch {
            return [failure(test, expected.line, "\(expected.text) at \(seconds(expected.time)): \(error)")]
        }
        let left = found.sorted { $0.labels < $1.labels }
        let right = expected.samples.sorted { $0.labels < $1.labels }
        let isSame =
            left.count == right.count
            && zip(left, right).allSatisfy { $0.labels == $1.labels && Self.isClose($0.value, $1.value) }
        guard !isSame else { return [] }
        func list(_ samples: [(labels: LabelSet, value: Double)]) -> String {
            samples.isEmpty ? " none" : samples.map { "\n    \($0.labels) \(QueryText.number($0.value))" }.joined()
        }
        return [
            failure(
                test, expected.line,
                "\(expected.text) at \(seconds(expected.time)):\n  expected:\(list(right))\n  found:\(list(left))")
        ]
    }

    static func isClose(_ left: Double, _ right: Double) -> Bool {
        if left.isNaN || right.isNaN { return left.isNaN && right.isNaN }
        return left == right || abs(left - right) <= tolerance * max(abs(left), abs(right))
    }

    private func seconds(_ time: Int64) -> String { "\(QueryText.time(time)) s" }
}
