import ArgumentParser
import Kernel
import Runner

/// `reeve alerts list`: what fires, and what waits to.
struct AlertsList: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List alerts: those that fire first, then those that wait to.",
        discussion: Failing.exits)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions
    @Option(help: "Of these states alone, with commas between: firing, suppressed, pending, resolved.")
    var state: String?

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .list(
            .alerts,
            try await reeve.list(
                ["api", "v1", "alerts"], query: [("state", state), ("after", page.after)], limit: page.limit))
    }
}
