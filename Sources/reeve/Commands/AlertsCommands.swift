import ArgumentParser
import Foundation
import Kernel
import Telemetry

/// `reeve alerts`: rules, and what came of them.
struct AlertsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alerts",
        abstract: "List and silence alerts, see who was told; check, test and backtest rules.",
        subcommands: [
            AlertsList.self, AlertsCheck.self, AlertsTest.self, AlertsBacktest.self, AlertsMeasure.self,
            AlertsSilence.self,
            AlertsDeliveries.self, AlertsSendTest.self,
        ], defaultSubcommand: AlertsList.self)
}

/// `reeve alerts check`. Exit status: 0 all files are right, 1 one is not, 2 a wrong call.
struct AlertsCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say whether rule files of Prometheus' can be loaded.",
        discussion: """
            Needs no server. Each fault is told as FILE:LINE:COLUMN. Exit status: 0 all files are right, 1 one is not, \
            2 a wrong call.
            """)

    @Argument(help: "Rule files.", completion: .file())
    var files: [String]

    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false

    func validate() throws {
        if files.isEmpty { throw ValidationError("Name a rule file.") }
    }

    func run() throws {
        var outcomes: [JSONValue] = []
        var lines: [String] = []
        var isRight = true
        for file in files {
            switch RuleFiles.read(file) {
            case .success(let program):
                let recordings = program.rules.count { $0.alert == nil }
                let alerts = program.rules.count - recordings
                lines.append("\(file): \(alerts) alerts and \(recordings) recordings")
                outcomes.append([
                    "file": .string(file), "ok": true, "alerts": .int(Int64(alerts)),
                    "recordings": .int(Int64(recordings)),
                ])
            case .failure(let refusal):
                isRight = false
                lines += refusal.faults.map { "\(file):\($0)" }
                outcomes.append([
                    "file": .string(file), "ok": false, "faults": .list(refusal.faults.map(\.json)),
                ])
            }
        }
        if isJSON {
            print((["ok": .bool(isRight), "files": .array(outcomes)] as JSONValue).prettyText)
        } else {
            print(lines.joined(separator: "\n"))
        }
        if !isRight { throw ExitCode(1) }
    }
}

/// `reeve alerts test`. Exit status: 0 all is as expected, 1 something is not, 2 a wrong call.
struct AlertsTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run the unit tests of rules that promtool runs.",
        discussion: """
            Needs no server. Rule files are named by the test files, from their own folder on. Exit status: 0 all is \
            as expected, 1 something is not, 2 a wrong call.
            """)

    @Argument(help: "Files of tests.", completion: .file())
    var files: [String]

    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false

    func validate() throws {
        if files.isEmpty { throw ValidationError("Name a file of tests.") }
    }

    func run() throws {
        var outcomes: [JSONValue] = []
        var isRight = true
        for file in files {
            let faults = faults(file)
            isRight = isRight && faults.isEmpty
            outcomes.append([
                "file": .string(file), "ok": .bool(faults.isEmpty),
                "failures": .array(faults.map(\.json)),
            ])
            guard !isJSON else { continue }
            print("\(file): \(faults.isEmpty ? "as expected" : "FAILED")")
            for fault in faults { print(fault.text) }
        }
        if isJSON { print((["ok": .bool(isRight), "files": .array(outcomes)] as JSONValue).prettyText) }
        if !isRight { throw ExitCode(1) }
    }

    private struct Fault {
        let text: String
        let json: JSONValue

        init(_ text: String) {
            self.text = text
            json = ["detail": .string(text)]
        }

        init(_ failure: RuleTestRun.Failure) {
            text = "line \(failure.line), \(failure.test): \(failure.text)"
            json = [
                "test": .string(failure.test), "line": .int(Int64(failure.line)), "detail": .string(failure.text),
            ]
        }
    }

    private func faults(_ file: String) -> [Fault] {
        let tests: RuleTestFile
        do {
            tests = try RuleTestFile(try RuleFiles.text(file))
        } catch let fault as MarkedYAML.Fault { return [Fault("\(file):\(fault)")] } catch {
            return [Fault("\(file): \(error)")]
        }
        var programs: [RuleProgram] = []
        for name in tests.ruleFiles {
            let paths = RuleFiles.paths(name, from: file)
            if paths.isEmpty { return [Fault("\(file): \(name) matches no file")] }
            for path in paths {
                switch RuleFiles.read(path) {
                case .success(let program): programs.append(program)
                case .failure(let refusal): return refusal.faults.map { Fault("\(path):\($0)") }
                }
            }
        }
        return RuleTestRun(tests, rules: programs).failures().map(Fault.init)
    }
}
