import ArgumentParser
import Kernel
import Runner

/// `reeve drill NAME`. Exit status: 0 found, contained and recovered in time, 1 not so, 2 a wrong call, 3 no server.
struct DrillCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "drill", abstract: "Bring a fault about, and see whether it is found and contained.",
        discussion: """
            The drills are \(DrillRun.names.joined(separator: ", ")). Each brings agents, tasks and rules of its own, \
            touches nobody else's, ends within 40 seconds and leaves nothing behind. Exit status: 0 found, contained \
            and recovered in time, 1 not so, 2 a wrong call, 3 the server cannot be reached.
            """)

    @OptionGroup var client: ClientOptions

    @Argument(help: "The drill's name.", completion: .list(DrillRun.names))
    var name: String

    func validate() throws {
        guard DrillRun.names.contains(name) else {
            throw ValidationError("There is no drill \"\(name)\". There are \(DrillRun.names.joined(separator: ", ")).")
        }
    }

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let isQuiet = isJSON
        let report = try await DrillRun(name, client: reeve) { step in
            if !isQuiet { Screen.complain("\(step)\n") }
        }.run()
        func line(_ word: String, _ seconds: Double?, _ bound: Int64) -> String {
            "\(word) \(seconds.map { "after \(($0 * 10).rounded() / 10) s" } ?? "never") (at most \(bound) s)"
        }
        let text = [
            "\(report.drill): \(report.isPassed ? "passed" : "FAILED"), \(report.incident)",
            line("found", report.detectedAfter, report.bounds.detect),
            line("contained", report.containedAfter, report.bounds.contain)
                + (report.containedBy == .person ? ", with a person's yes" : ""),
            line("recovered", report.recoveredAfter, report.bounds.recover),
            report.touched.isEmpty
                ? "no healthy agent was touched" : "touched: \(report.touched.joined(separator: ", "))",
        ].joined(separator: "\n")
        return Answer(json: report.json, text: text, status: report.isPassed ? 0 : 1)
    }
}
