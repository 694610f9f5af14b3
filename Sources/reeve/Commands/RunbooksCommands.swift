import ArgumentParser
import Control
import Kernel
import Runner

/// `reeve runbooks`: what is written, and whether it can be carried out.
struct RunbooksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runbooks", abstract: "Check, list and show runbooks.", discussion: Failing.exits,
        subcommands: [RunbooksCheck.self, RunbooksList.self, RunbooksShow.self],
        defaultSubcommand: RunbooksList.self)
}

/// `reeve runbooks check`. Exit status: 0 all files are right, 1 one is not, 2 a wrong call.
struct RunbooksCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Say whether files of runbooks can be carried out.",
        discussion: """
            Needs no server. Each fault is told as FILE:LINE:COLUMN. Exit status: 0 all files are right, 1 one is not, \
            2 a wrong call.
            """)

    @Argument(help: "Files, one runbook each.", completion: .file())
    var files: [String]

    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false

    func validate() throws {
        if files.isEmpty { throw ValidationError("Name a file.") }
    }

    func run() throws {
        var outcomes: [JSONValue] = []
        var lines: [String] = []
        var runbooks: [Runbook] = []
        var isRight = true
        func refuse(_ file: String, _ fault: RunbookLibrary.Fault) {
            isRight = false
            lines.append(fault.description)
            outcomes.append([
                "file": .string(file), "ok": false, "line": .int(Int64(fault.line)),
                "column": .int(Int64(fault.column)), "detail": .string(fault.reason),
            ])
        }
        for file in files {
            do {
                let runbook = try RunbookLibrary.read(file)
                // Two of one name, or for one alert, are a fault of the second.
                _ = try RunbookLibrary.shipped.replaced(by: runbooks + [runbook])
                runbooks.append(runbook)
                lines.append("\(file): \(runbook.name), \(runbook.stepCount) steps")
                outcomes.append(["file": .string(file), "ok": true, "name": .string(runbook.name)])
            } catch let fault as RunbookLibrary.Fault {
                refuse(file, fault)
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

struct RunbooksList: ListCommand {
    static let configuration = CommandConfiguration.client("list", "List runbooks with the alerts that they are for.")
    static let view = ListView.runbooks

    @OptionGroup var client: ClientOptions
    @OptionGroup var page: PageOptions

    var place: [String] { ["api", "v1", "runbooks"] }
}

struct RunbooksShow: ClientCommand {
    static let configuration = CommandConfiguration.client("show", "Show a runbook with its steps.")

    @OptionGroup var client: ClientOptions
    @Argument(help: "The runbook's name.") var name: String

    func answer(_ reeve: ReeveClient) async throws -> Answer {
        .details(try await reeve.get(ReeveClient.path("api", "v1", "runbooks", name)))
    }
}
