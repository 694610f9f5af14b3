import Foundation
import Kernel
import Testing

@testable import Telemetry

/// The shipped rules over some hours of a simulated fleet with faults, here and by `promtool test rules`: the same
/// alerts with the same labels and annotations, and the same values of every rule, of one part in a billion.
///
/// It is two hours unless `script/false-alarms --promtool HOURS` says otherwise.
@Suite("promtool comes to the same")
struct PromtoolAgreementTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let hours = environment["REEVE_PROMTOOL_HOURS"].flatMap(Int.init) ?? 2
    /// Where the hours begin, in minutes of the day: the fleet is at work.
    private static let first = 780
    private static let minute = SimulatedFleet.minute

    private static let program: String? = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let folders = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return (folders + ["\(root)/.build/tools/prometheus/usr/bin"]).map { "\($0)/promtool" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    /// Of each kind that shows within hours, in minutes from the first.
    private static let faults: [(alert: String, minutes: Range<Int>)] = [
        ("AgentDown", 10..<70), ("HighErrorRate", 15..<45), ("QueueBackup", 5..<90), ("ContextExhaustion", 20..<60),
        ("MemoryStoreSlow", 30..<70), ("ToolStorm", 50..<70), ("TelemetryLoss", 40..<60), ("ProviderOutage", 60..<75),
        ("CascadingFailure", 20..<60), ("ModelSlow", 70..<110), ("BreakerFlapping", 10..<80),
        ("BudgetRunaway", 20..<90), ("MemoryErrors", 80..<110), ("TracesNotKept", 90..<95), ("FleetPaused", 100..<110),
        ("ContextPoisoning", 40..<60), ("ToolTimeouts", 15..<40), ("PostmortemOverdue", 60..<90),
        ("ModelTimeouts", 85..<115), ("ErrorRateSpike", 90..<115),
    ]

    /// The hours of the fleet, from 1970 on as promtool counts.
    private static func fleet() -> SeriesBench {
        let days = (first + hours * 60) / 1_440 + 1
        let planted = faults.map { fault in
            SimulatedFleet.Fault(
                alert: fault.alert, minutes: fault.minutes.lowerBound + first..<fault.minutes.upperBound + first)
        }
        let bench = SeriesBench()
        let begin = SimulatedFleet.start + Int64(first) * minute
        for one in SimulatedFleet(seed: 11, days: days, faults: planted).bench.all {
            // Moments of time move with it.
            let shift = one.labels[LabelSet.metricName].hasSuffix("timestamp_seconds") ? Double(begin / 1_000) : 0
            for (time, value) in zip(one.times, one.values)
            where (begin...begin + Int64(hours) * 60 * minute).contains(time) {
                bench.add(one.labels, time - begin, value - shift)
            }
        }
        return bench
    }

    /// A series as promtool reads it, with its gaps.
    private static func input(_ series: SeriesSamples) -> JSONValue {
        var values: [String] = []
        for (time, value) in zip(series.times, series.values) {
            values += [String](repeating: "_", count: Int(time / minute) - values.count) + ["\(value)"]
        }
        return ["series": .string(series.labels.description), "values": .string(values.joined(separator: " "))]
    }

    private static func object(_ pairs: some Sequence<(String, String)>) -> JSONValue {
        .object(JSONObject(pairs.map { .init(name: $0.0, value: .string($0.1)) }))
    }

    @Test("Over the hours of a fleet")
    func agreement() throws {
        guard let program = Self.program else {
            try #require(Self.environment["CI"] == nil, "promtool is not there, and this test is nothing without it")
            return
        }
        let bench = Self.fleet()
        let inputs = bench.all.map(Self.input)
        let groups = try ShippedRules.programs().flatMap(\.program.groups)
        let end = Int64(Self.hours) * 60 * Self.minute
        let times = Array(stride(from: 0, through: end, by: Int64.Stride(10 * Self.minute)))
        let looked = times.flatMap { time in
            ShippedRules.alertNames.map {
                RuleTestFile.ExpectedAlerts(time: time, name: $0, alerts: [], line: 0)
            }
        }
        var course = RuleTestCourse(groups, by: RuleEvaluation(reader: bench), over: bench, every: Self.minute)
        course.run(through: end, looking: looked)
        #expect(course.faults.isEmpty)
        let fired = Set(zip(looked, course.firing).filter { !$1.isEmpty }.map(\.0.name))
        #expect(fired.isSuperset(of: Self.faults.map(\.alert).filter { $0 != "ErrorRateSpike" }), "\(fired.sorted())")
        let alerts = zip(looked, course.firing).map { one, firing -> JSONValue in
            let expected = firing.map { alert -> JSONValue in
                [
                    "exp_labels": Self.object(alert.labels.pairs.filter { $0.name != "alertname" }.map { ($0, $1) }),
                    "exp_annotations": Self.object(alert.annotations.map { ($0, $1) }),
                ]
            }
            return [
                "eval_time": .string("\(one.time / 1_000)s"), "alertname": .string(one.name),
                "exp_alerts": .array(expected),
            ]
        }
        // What is asked for is said to be nothing, so that promtool says what it is.
        let asked = times.filter { $0 % (30 * Self.minute) == 0 }.flatMap { time in
            groups.flatMap(\.rules).map { (time, $0.alert == nil ? $0.name : $0.query.text) }
        }
        let queries = asked.map { time, text -> JSONValue in
            ["expr": .string(text), "eval_time": .string("\(time / 1_000)s"), "exp_samples": []]
        }
        let text = try Self.told(
            by: program,
            [
                "interval": "1m", "input_series": .array(inputs), "alert_rule_test": .array(alerts),
                "promql_expr_test": .array(queries),
            ], groups)
        #expect(!text.contains("alertname:"), "\(text.prefix(4_000))")
        try Self.compare(Self.answers(in: text), asked, bench)
    }

    /// What promtool says of a test.
    private static func told(by program: String, _ test: JSONValue, _ groups: [RuleProgram.Group]) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("reeve-promtool-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for entry in ShippedRules.entries {
            try Data(YAMLDocument.text(entry.file.json).utf8)
                .write(to: folder.appendingPathComponent("\(entry.file.name).rules.yml"))
        }
        let file: JSONValue = [
            "rule_files": ["*.rules.yml"], "evaluation_interval": "1m",
            "group_eval_order": .array(groups.map { .string($0.name) }), "tests": .array([test]),
        ]
        let (path, output) = (folder.appendingPathComponent("test.yml"), folder.appendingPathComponent("output"))
        try Data(file.bytes).write(to: path)
        #expect(FileManager.default.createFile(atPath: output.path, contents: nil))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = ["test", "rules", path.path]
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = process.standardOutput
        try process.run()
        process.waitUntilExit()
        return try String(contentsOf: output, encoding: .utf8)
    }

    /// What it says that expressions are worth, by the expression as it is quoted and the moment.
    private static func answers(in text: String) throws -> [String: [LabelSet: Double]] {
        var found: [String: [LabelSet: Double]] = [:]
        var asked = ""
        for line in text.split(separator: "\n") {
            let line = line.drop { $0 == " " }
            if line.hasPrefix("expr: "), let end = line.range(of: ", time: ", options: .backwards) {
                let time = try #require(PromQLLexer.duration(String(line[end.upperBound...].dropLast())))
                asked = "\(line[..<end.lowerBound].dropFirst(6)) \(time)"
            } else if line.hasPrefix("got: "), line != "got: nil" {
                found[asked] = try samples(line.dropFirst(5))
            }
        }
        return found
    }

    /// `{a="b"} 1E+00, {a="c"} 2E+00`.
    private static func samples(_ text: Substring) throws -> [LabelSet: Double] {
        var found: [LabelSet: Double] = [:]
        var rest = text
        while let end = rest.range(of: "} ")?.lowerBound {
            var labels = LabelSet.none
            let selected = rest.starts(with: "{}") ? nil : try PromQLParser.parse(String(rest[...end])).kind
            if case .selector(let selector) = selected {
                labels = LabelSet(selector.matchers.map { ($0.name, $0.value) })
            }
            let value = rest[end...].dropFirst(2).prefix { $0 != "," }
            found[labels] = try #require(Double(String(value)))
            rest = rest[value.endIndex...].dropFirst(2)
        }
        return found
    }

    /// What is nothing but rounding, as sums of another order leave it, is zero.
    private static func isClose(_ left: Double, _ right: Double) -> Bool {
        RuleTestRun.isClose(left, right) || abs(left - right) < 1e-15
    }

    private static func compare(
        _ theirs: [String: [LabelSet: Double]], _ asked: [(Int64, String)], _ bench: SeriesBench
    ) throws {
        var (count, differences) = (0, [String]())
        for (time, text) in asked {
            guard case .vector(let series) = try PromQLQuery(text).answer(at: time, from: bench) else { continue }
            let mine = Dictionary(uniqueKeysWithValues: series.map { ($0.labels, $0.samples[0].value) })
            let other = theirs["\(QueryText.quoted(text)) \(time)"] ?? [:]
            count += mine.count
            let isSame =
                mine.count == other.count
                && mine.allSatisfy { labels, value in other[labels].map { isClose(value, $0) } ?? false }
            if !isSame { differences.append("\(text) at \(time / 1_000) s: \(mine), promtool: \(other)") }
        }
        #expect(differences.isEmpty, "\(differences.prefix(5).joined(separator: "\n"))")
        #expect(count > 100 * hours, "there is something to compare")
    }
}
