import ArgumentParser
import Foundation
import Kernel
import Runner
import Telemetry

/// `reeve alerts backtest`. Exit status: 0 done, 1 refused, 2 a wrong call, 3 the server cannot be reached.
struct AlertsBacktest: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "backtest", abstract: "Say how often an alert would have fired.",
        discussion: """
            RULE is the name of an alert that the server knows, FILE:ALERT, or a rule file with one alert. It is \
            evaluated over the series that the server keeps; what it depends on is recorded anew. \(Failing.exits)
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "An alert's name, FILE:ALERT, or a rule file with one alert.") var rule: String
    @Option(help: "From when on: a time such as 2026-11-20T08:00:00Z, or how long ago, such as 30d.") var since = "7d"
    @Option(help: "A rule file that has the alert, and what it depends on.", completion: .file()) var rules: String?
    @Option(help: "Between two evaluations, such as 5m; the group's interval, or 1m.") var step: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let (name, file) = try asked()
        var body = JSONObject([.init(name: "since", value: .string(since))])
        if let name { body["rule"] = .string(name) }
        if let file { body["rules"] = .string(try text(file)) }
        if let step { body["step"] = .string(step) }
        do {
            let report = try await reeve.post(
                "/api/v1/alerts/backtest", .object(body), timeout: RuleBacktest.time + .seconds(10))
            return Answer(json: report, text: BacktestText.text(report))
        } catch let failure as ClientFailure {
            // A name that is not there is a wrong call; so is a file that cannot be read as rules.
            guard failure.code == "not_found" || failure.code == "bad_data" else { throw failure }
            Failing.report(failure, isJSON: isJSON)
            throw ExitCode(2)
        }
    }

    /// The alert, and the file that it is in.
    private func asked() throws -> (name: String?, file: String?) {
        if let rules { return (rule, rules) }
        if FileManager.default.fileExists(atPath: rule) { return (nil, rule) }
        guard let colon = rule.lastIndex(of: ":") else { return (rule, nil) }
        return (String(rule[rule.index(after: colon)...]), String(rule[..<colon]))
    }

    /// The file's text, once it is known that it can be loaded.
    private func text(_ file: String) throws -> String {
        if case .failure(let refusal) = RuleFiles.read(file) {
            throw ValidationError(refusal.faults.map { "\(file):\($0)" }.joined(separator: "\n"))
        }
        return try RuleFiles.text(file)
    }
}

/// A backtest in words.
enum BacktestText {
    /// Episodes that are shown.
    private static let rows = 40

    static func text(_ report: JSONValue) -> String {
        let count = report["count"]?.int ?? 0
        let episodes = report["episodes"]?.array ?? []
        var lines = [
            "\(report["rule"]?.string ?? "") from \(time(report["from"])) to \(time(report["until"])), "
                + "every \(length(report["stepSeconds"]?.double ?? 0)):",
            "fired \(count) \(count == 1 ? "time" : "times"), \(rounded(report["perWeek"]?.double ?? 0)) a week; "
                + "at least one alert fired for \(length(report["firingSeconds"]?.double ?? 0)).",
        ]
        if let share = report["withoutData"]?.double, share > 0 {
            lines.append("In \(rounded(share * 100)) % of the time there was no sample of what it asks for.")
        }
        let absent = (report["absentMetrics"]?.array ?? []).compactMap(\.string)
        if !absent.isEmpty { lines.append("No sample at all of: \(absent.joined(separator: ", ")).") }
        if let faults = report["failedEvaluations"]?.int, faults > 0 {
            lines.append("\(faults) evaluations failed: \(report["failure"]?.string ?? "")")
        }
        for one in episodes.prefix(rows) {
            let labels = (one["labels"]?.object?.members ?? []).filter { $0.name != "alertname" }
                .map { "\($0.name)=\($0.value.string ?? "")" }.joined(separator: " ")
            lines.append(
                "  \(time(one["start"])) to \(one["end"]?.string == nil ? "the end" : time(one["end"]))  "
                    + "peak \(one["peak"]?.string ?? "")  \(labels)")
        }
        if count > Int64(min(rows, episodes.count)) {
            lines.append("  … and \(count - Int64(min(rows, episodes.count))) more; --json has up to 1,000.")
        }
        return lines.joined(separator: "\n")
    }

    /// To the minute.
    private static func time(_ value: JSONValue?) -> String {
        guard let text = value?.string, text.count >= 16 else { return value?.string ?? "" }
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(5))Z"
    }

    private static func rounded(_ value: Double) -> String { String(format: "%.1f", value) }

    private static func length(_ seconds: Double) -> String {
        let parts = [(Int(seconds) / 86_400, "d"), (Int(seconds) / 3_600 % 24, "h"), (Int(seconds) / 60 % 60, "m")]
        let words = parts.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }
        return words.isEmpty ? "\(Int(seconds))s" : words.joined(separator: " ")
    }
}
