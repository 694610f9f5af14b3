import ArgumentParser

/// The commands that speak with a server over its interface, in the order of the help.
enum ClientCommands {
    static let all: [any ParsableCommand.Type] = [
        RunCommand.self, WorkCommand.self, AgentsCommand.self, ConfigCommand.self, TasksCommand.self,
        QueuesCommand.self,
        ReviewsCommand.self, EventsCommand.self, AuditCommand.self, KeysCommand.self, SchedulesCommand.self,
        FlagsCommand.self, CallsCommand.self, CostsCommand.self, LogsCommand.self, TraceCommand.self,
        TelemetryCommand.self, IncidentsCommand.self, RunbooksCommand.self, OnCallCommand.self, DrillCommand.self,
        TopCommand.self, SecretsCommand.self, LoginCommand.self,
    ]
}
