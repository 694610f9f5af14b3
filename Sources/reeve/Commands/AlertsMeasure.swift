import ArgumentParser
import Foundation
import Kernel
import Telemetry

/// `reeve alerts measure`. Exit status: 0 done, 1 a file cannot be read, 2 a wrong call.
struct AlertsMeasure: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "measure", abstract: "Say how long rules take to evaluate.",
        discussion: """
            Needs no server. FILE is a file of rule tests: its rules are evaluated over the series of its first test, \
            in a store of their own as a server has it. Exit status: 0 done, 1 a file cannot be read, 2 a wrong call.
            """)

    @Argument(help: "A file of rule tests.", completion: .file()) var file: String
    @Option(help: "Evaluations of all rules, a minute apart.") var rounds = 3
    @Flag(name: .customLong("json"), help: "Print one JSON document.") var isJSON = false

    func validate() throws {
        guard (1...60).contains(rounds) else { throw ValidationError("--rounds is from 1 to 60.") }
    }

    func run() async throws {
        guard let measurement = try? measurement() else {
            Screen.complain("\(file) and the rules that it names cannot be read: see `reeve alerts test \(file)`.\n")
            throw ExitCode(1)
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("reeve-rules-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        let rounds = try await measurement.rounds(rounds, in: folder.path)
        if isJSON {
            let document: JSONValue = [
                "rules": .int(Int64(measurement.rules)), "series": .int(Int64(measurement.series)),
                "samples": .int(Int64(measurement.samples)), "rounds": .array(rounds.map(json)),
            ]
            return print(document.prettyText)
        }
        print("\(measurement.rules) rules over \(measurement.series) series with \(measurement.samples) samples")
        for round in rounds {
            print(
                String(format: "%.3f core-seconds, %.3f s", round.work, round.time)
                    + "; \(round.firing) alerts fire, \(round.recorded) samples recorded, \(round.faults) rules failed")
        }
    }

    private func json(_ round: RuleMeasurement.Round) -> JSONValue {
        [
            "coreSeconds": .double(round.work), "seconds": .double(round.time), "firing": .int(Int64(round.firing)),
            "recorded": .int(Int64(round.recorded)), "failed": .int(Int64(round.faults)),
        ]
    }

    private func measurement() throws -> RuleMeasurement? {
        let tests = try RuleTestFile(try RuleFiles.text(file))
        let programs = try tests.ruleFiles.flatMap { RuleFiles.paths($0, from: file) }.map {
            try RuleFiles.read($0).get()
        }
        return RuleMeasurement(tests, rules: programs)
    }
}
