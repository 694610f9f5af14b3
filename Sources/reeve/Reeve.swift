import ArgumentParser

/// `reeve`: the server, the runner and the client of the operations plane, in one program.
@main
struct Reeve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reeve",
        abstract: "Runs, watches and reviews a fleet of AI agents.",
        subcommands: [
            ServeCommand.self,
            SettingsCommand.self,
            ReferenceCommand.self,
            MockModelCommand.self,
            AlertsCommand.self, ExportCommand.self,
        ] + ClientCommands.all)
}
