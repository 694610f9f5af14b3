import ArgumentParser
import Kernel
import Runner

/// `reeve alerts list`: what fires, and what waits to.
struct AlertsList: ListCommand {
    static let configuration = CommandConfiguration.client(
        "list", "List alerts: those that fire first, then those that wait to.")
    static let view = ListView.alerts

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions
    @Option(help: "Of these states alone, with commas between: firing, suppressed, pending, resolved.")
    var state: String?

    var place: [String] { ["api", "v1", "alerts"] }
    var filters: [(String, String?)] { [("state", state)] }
}
