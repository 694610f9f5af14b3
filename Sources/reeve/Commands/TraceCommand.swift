import ArgumentParser
import Kernel
import Runner

/// `reeve trace`: what happened in one trace.
struct TraceCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Show a trace's spans as a tree.",
        discussion: "With --json the answer of GET /api/v1/traces/ID. \(Failing.exits)")

    @OptionGroup var client: ClientOptions

    @Argument(help: "The trace's id, 32 hexadecimal digits.")
    var id: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        let trace = try await reeve.get(ReeveClient.path("api", "v1", "traces", id))
        return Answer(json: trace, text: TraceText.tree(trace["spans"]?.array ?? []))
    }
}
