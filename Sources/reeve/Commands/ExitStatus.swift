import ArgumentParser
import Foundation

extension Reeve {
    /// Runs the command line. A wrong call ends with 2, as it does with most tools; the parser's own choice is 64,
    /// which programs under `reeve run` use to say that they are misconfigured.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            // A status that a command chose is the program's own, which may well be 64.
            guard !(error is ExitCode), exitCode(for: error) == .validationFailure else { exit(withError: error) }
            Screen.complain(fullMessage(for: error) + "\n")
            Foundation.exit(2)
        }
    }
}
