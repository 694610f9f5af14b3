import ArgumentParser
import Foundation
import Gateway
import Kernel

/// `reeve mock-model`: a model that answers from a script, for tests and drills. Exit status: 0 stopped as asked,
/// 1 it could not listen, 2 a wrong call or a script that cannot be read.
struct MockModelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mock-model",
        abstract: "Serve a deterministic model that speaks OpenAI's and Anthropic's dialects, faults included.")

    @Option(help: "The port to listen on, on the loopback address; 0 takes a free one.")
    var port: Int

    @Option(help: "The script: a YAML or JSON file with `rules`. Without one it repeats what it was told.")
    var script: String?

    func run() async throws {
        let model = ScriptedModel(try loadScript())
        do {
            try await ScriptedServer(model).run(port: port) { port in
                let line = "The scripted model is at http://127.0.0.1:\(port)/v1\n"
                try? FileHandle.standardOutput.write(contentsOf: Data(line.utf8))
            }
        } catch {
            Self.complain("It cannot listen on port \(port): \(error).")
            throw ExitCode(1)
        }
    }

    private func loadScript() throws -> Script {
        guard let script else { return Script() }
        do {
            return try Script(file: script)
        } catch let problem as Problem {
            Self.complain("\(script): \(problem.detail.trimmingPrefix(": "))\n\(problem.hint)")
        }
        throw ExitCode(2)
    }

    private static func complain(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data("\(text)\n".utf8))
    }
}
