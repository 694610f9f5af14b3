import Foundation
import Kernel
import Testing

@testable import Telemetry

/// The shipped rules over simulated fleets: how often they fire where nothing is wrong, and how soon where something
/// is. Each is evaluated as a server does it: at its group's interval, or each minute.
///
/// A healthy week is simulated unless `script/false-alarms` says otherwise, which writes figures of longer times into
/// `docs/reference/alerts.md`; faults are planted in nine days, all of them, always.
@Suite("False alarms and planted faults", .serialized)
struct FalseAlarmTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let days = environment["REEVE_FALSE_ALARM_DAYS"].flatMap(Int.init) ?? 7
    private static let seeds = (environment["REEVE_FALSE_ALARM_SEEDS"] ?? "1").split(separator: ",").compactMap {
        UInt64($0)
    }
    /// What is asked for.
    private static let perWeekMax = 1.0

    /// What fires where nothing is wrong, by alert.
    private static func falseAlarms(seed: UInt64, days: Int) throws -> [String: Int] {
        let fleet = SimulatedFleet(seed: seed, days: days)
        let programs = try ShippedRules.programs().map(\.program)
        var found: [String: Int] = [:]
        for alert in ShippedRules.alerts.values.sorted(by: { $0.name < $1.name }) where alert.severity != .none {
            let backtest = try #require(RuleBacktest(alert.name, in: programs))
            let report = try backtest.run(
                over: fleet.bench, from: SimulatedFleet.start,
                through: SimulatedFleet.start + Int64(days) * 1_440 * SimulatedFleet.minute,
                step: backtest.interval ?? SimulatedFleet.minute)
            #expect(report.faults == 0, "\(alert.name): \(report.firstFault ?? "")")
            if report.count > 0 { found[alert.name] = report.count }
            for episode in report.episodes where environment["REEVE_FALSE_ALARM_DAYS"] != nil {
                let minute = (episode.start - SimulatedFleet.start) / SimulatedFleet.minute
                print("seed \(seed), minute \(minute): \(episode.labels) peak \(episode.peak)")
            }
        }
        return found
    }

    @Test("A healthy fleet fires at most one alert a week")
    func quiet() throws {
        var lines: [String] = []
        for seed in Self.seeds {
            let found = try Self.falseAlarms(seed: seed, days: Self.days)
            let all = found.values.reduce(0, +)
            // Of a part of a week the same part is allowed: of less than one, nothing.
            let weeks = Double(Self.days) / 7
            let again = "script/false-alarms --days \(Self.days) --seeds \(seed)"
            #expect(Double(all) / weeks <= Self.perWeekMax, "\(found); again: \(again)")
            let names = found.sorted { $0.key < $1.key }.map { "`\($0.key)` \($0.value)" }.joined(separator: ", ")
            lines.append(
                "| \(seed) | \(Self.days) | \(all) | \(String(format: "%.2f", Double(all) / weeks)) | \(names) |")
        }
        // Only times that somebody asked for stand on the page.
        guard Self.days >= 7, Self.environment["REEVE_FALSE_ALARM_DAYS"] != nil,
            Self.environment["REEVE_UPDATE_DOCS"] != nil
        else { return }
        try AlertsPage.write(figures: lines)
    }

    // MARK: Faults

    /// A fault, from when on, for how long, and within how many minutes it is to be known.
    struct Plan: Sendable, CustomTestStringConvertible {
        let alert: String
        let day: Int
        let at: Int
        let minutes: Int
        let within: Int

        init(_ alert: String, day: Int = 7, at hour: Double, for minutes: Int, within: Int) {
            (self.alert, self.day, self.minutes, self.within) = (alert, day, minutes, within)
            at = Int(hour * 60)
        }

        var begin: Int { day * 1_440 + at }
        var testDescription: String { alert }
    }

    static let plans: [Plan] = [
        Plan("AgentDown", at: 10.5, for: 60, within: 32), Plan("TaskStuck", at: 10, for: 300, within: 242),
        Plan("HighErrorRate", at: 11, for: 30, within: 12), Plan("CostSpike", day: 8, at: 9, for: 720, within: 540),
        Plan("QueueBackup", at: 13.5, for: 90, within: 62), Plan("ErrorRateSpike", at: 12, for: 30, within: 12),
        Plan("ContextExhaustion", at: 13, for: 40, within: 20), Plan("MemoryStoreSlow", at: 17, for: 40, within: 20),
        Plan("ModelTimeouts", at: 13, for: 60, within: 30), Plan("SessionAbnormal", at: 13, for: 240, within: 120),
        Plan("ToolStorm", at: 10.5, for: 20, within: 5), Plan("TelemetryLoss", at: 12, for: 20, within: 10),
        Plan("ProviderOutage", at: 14, for: 15, within: 3), Plan("CascadingFailure", at: 14.5, for: 30, within: 20),
        Plan("DeliverablesRejected", at: 15, for: 150, within: 90), Plan("ModelSlow", at: 15, for: 40, within: 20),
        Plan("BreakerFlapping", at: 16, for: 60, within: 40),
        Plan("AnswerQualityDrop", day: 8, at: 8, for: 600, within: 420),
        Plan("BudgetRunaway", at: 15, for: 60, within: 45), Plan("MemoryErrors", at: 16, for: 30, within: 15),
        Plan("TracesNotKept", at: 12, for: 5, within: 2), Plan("FleetPaused", at: 18, for: 20, within: 1),
        Plan("ContextPoisoning", at: 11, for: 20, within: 5), Plan("ToolTimeouts", at: 11.5, for: 30, within: 12),
        Plan("PostmortemOverdue", at: 16.5, for: 20, within: 7),
    ]

    private static let faulty = SimulatedFleet(
        seed: 7, days: 9, faults: plans.map { .init(alert: $0.alert, minutes: $0.begin..<$0.begin + $0.minutes) }
    ).bench

    /// Minutes from the fault to the alert; `nil` where there was none.
    static func delay(_ plan: Plan) throws -> Int? {
        let programs = try ShippedRules.programs().map(\.program)
        let backtest = try #require(RuleBacktest(plan.alert, in: programs))
        let begin = SimulatedFleet.start + Int64(plan.begin) * SimulatedFleet.minute
        let report = try backtest.run(
            over: faulty, from: begin - 10 * SimulatedFleet.minute,
            through: begin + Int64(plan.minutes) * SimulatedFleet.minute,
            step: backtest.interval ?? SimulatedFleet.minute)
        return report.episodes.map(\.start).filter { $0 >= begin }.min().map {
            Int(($0 - begin) / SimulatedFleet.minute)
        }
    }

    @Test("Each fault is found in time, and the page says how soon")
    func found() throws {
        #expect(Set(Self.plans.map(\.alert)) == Set(ShippedRules.alerts.keys).subtracting(["Watchdog"]))
        var delays: [String: Int] = [:]
        for plan in Self.plans {
            let delay = try Self.delay(plan)
            #expect(delay.map { $0 <= plan.within } == true, "\(plan.alert): \(delay.map(String.init) ?? "never")")
            delays[plan.alert] = delay
        }
        try AlertsPage.expectInStep(delays: delays)
    }

    @Test("The figures are those of the rules and of the fleet as they are now")
    func figures() throws {
        let now = try SimulationDigest.now()
        #expect(
            AlertsPage.digest == now,
            """
            The shipped rules or the simulated fleet changed, and the figures in docs/reference/alerts.md are of what \
            they were: `script/false-alarms --write` makes them anew.
            """)
    }
}

/// Stands for all that the figures of false alarms come from: what the shipped rules ask, and how the fleet is
/// simulated. Words for people are no part of it.
enum SimulationDigest {
    private static let sources = ["SimulatedFleet.swift", "SplitMix64.swift"]

    static func now() throws -> String {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let fleet = try sources.map { try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8) }
        return String(Digest.sha256((rules + fleet).joined(separator: "\n")).prefix(16))
    }

    private static var rules: [String] {
        ShippedRules.entries.flatMap(\.file.groups).flatMap { group in
            ["\(group.name) \(group.intervalSeconds ?? 0)"]
                + group.rules.map { rule in
                    switch rule {
                    case .recording(let rule): "\(rule.name) = \(rule.expression)"
                    case .alert(let rule):
                        "\(rule.name) \(rule.severity.rawValue) \(rule.holdsFor ?? "") "
                            + "\(rule.keepsFiringFor ?? "") = \(rule.expression)"
                    }
                }
        }
    }
}

/// `docs/reference/alerts.md`.
enum AlertsPage {
    private static let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("docs/reference/alerts.md")
    private static let marks = ("<!-- figures -->\n", "<!-- end of figures -->\n")

    private static var text: String { (try? String(contentsOf: url, encoding: .utf8)) ?? "" }

    /// What stands between the marks.
    private static var figures: String {
        guard let begin = text.firstRange(of: marks.0), let end = text.firstRange(of: marks.1) else { return "" }
        return String(text[begin.upperBound..<end.lowerBound])
    }

    private static let digestMark = "Digest of the rules and of the fleet: "

    /// Of what the figures are.
    static var digest: String {
        guard let begin = figures.firstRange(of: digestMark) else { return "" }
        return String(figures[begin.upperBound...].drop { $0 == "`" }.prefix { $0 != "`" })
    }

    static func write(figures lines: [String]) throws {
        let table = "| seed | days | alerts | a week | which |\n|--:|--:|--:|--:|---|\n" + lines.joined(separator: "\n")
        let digest = "\(digestMark)`\(try SimulationDigest.now())`."
        let text = text.replacing(
            marks.0 + figures + marks.1, with: "\(marks.0)\n\(table)\n\n\(digest)\n\n\(marks.1)")
        try Data(text.utf8).write(to: url)
    }

    static func expectInStep(delays: [String: Int]) throws {
        let page = page(delays)
        if ProcessInfo.processInfo.environment["REEVE_UPDATE_DOCS"] != nil { try Data(page.utf8).write(to: url) }
        #expect(text == page, "docs/reference/alerts.md is behind: run these tests with REEVE_UPDATE_DOCS=1")
    }

    private static func page(_ delays: [String: Int]) -> String {
        let rows = ShippedRules.entries.flatMap(\.file.alerts).map { alert in
            let delay = delays[alert.name].map { "\($0) min" } ?? ""
            let mode = alert.mode.map { "`\($0.rawValue)`" } ?? ""
            return "| `\(alert.name)` | \(alert.severity.rawValue) | \(alert.nature.rawValue) | \(mode) "
                + "| \(alert.holdsFor ?? "") | \(delay) |"
        }
        return """
            # Alerts

            <!-- Generated by the tests of false alarms; edits are lost. -->

            The rules that Reeve ships: how grave each alert is, whose fault it is likely to be, which failure of fleets
            it detects, for how long its condition must hold, and how long after a planted fault it fired. What each
            asks for stands in the files that `reeve export prometheus` writes.

            | alert | severity | nature | failure | for | detected after |
            |---|---|---|---|---|--:|
            \(rows.joined(separator: "\n"))

            The faults are planted in a simulated fleet of six agents with samples each minute, on its eighth and ninth
            day; rules are evaluated each minute, or at their group's interval. Those of tasks and queues wait as long
            as they are told to: four hours, an hour, half an hour.

            ## False alarms

            The same fleet without faults, with days and nights, weekends, bursts, deploys, restarts, breakers that open
            for a moment, and records that cannot be read, evaluated as above: what fired, of all alerts but those of
            severity none. At most one a week is asked for. `script/false-alarms` simulates it again.

            \(marks.0)\(figures)\(marks.1)
            """
    }
}
