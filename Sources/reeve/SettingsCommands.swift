import ArgumentParser
import Control
import Foundation
import Gateway
import Kernel
import Server

/// `reeve settings`: judges, shows and documents the settings. Exit status: 0 done, 1 the settings are not acceptable,
/// 2 a wrong call or a file that cannot be read.
struct SettingsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "settings", abstract: "Check, show and document the settings.",
        subcommands: [SettingsCheck.self, SettingsShow.self, SettingsReferenceCommand.self])
}

/// Which settings to read, and how to print.
struct SettingsOptions: ParsableArguments {
    @Option(name: .customLong("config"), help: "The settings file; reeve.yaml of this folder where it exists.")
    var file: String?

    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false

    /// The file that counts, if any.
    var path: String? { SettingsLoader.file(named: file ?? ProcessInfo.processInfo.environment["REEVE_CONFIG"]) }

    /// Loads, or prints why not and ends with the status that says so.
    func load() throws -> LoadedSettings {
        do {
            let loaded = try SettingsLoader.loadWithOrigins(
                file: path, environment: ProcessInfo.processInfo.environment)
            _ = try ModelGateway.settings(loaded.settings.catalogue)
            _ = try AlertPlan(loaded.settings)
            _ = try loaded.settings.secrets.rotationWindows.map { try RotationCalendar($0) }
            _ = try KeyPatterns(loaded.settings.secrets)
            return loaded
        } catch let problem as Problem {
            let findings = problem.members["findings"] ?? []
            if isJSON {
                let document: JSONValue = [
                    "ok": false, "file": .of(path), "detail": .string(problem.detail), "hint": .string(problem.hint),
                    "findings": findings,
                ]
                print(document.prettyText)
            } else {
                try? FileHandle.standardError.write(contentsOf: Data("\(problem.detail)\n\(problem.hint)\n".utf8))
            }
            throw ExitCode(problem.code == .notFound ? 2 : 1)
        }
    }
}

struct SettingsCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Judge the file and the environment, without starting anything.")

    @OptionGroup var options: SettingsOptions

    func run() throws {
        let loaded = try options.load()
        if options.isJSON {
            let document: JSONValue = ["ok": true, "file": .of(options.path), "findings": []]
            return print(document.prettyText)
        }
        let source = options.path ?? "no settings file"
        print("Acceptable (\(source)): \(loaded.origins.count) given, the others at their defaults.")
    }
}

struct SettingsShow: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Print every setting in effect, and where it came from.")

    @OptionGroup var options: SettingsOptions

    func run() throws {
        let loaded = try options.load()
        if options.isJSON { return print(SettingsReference.document(loaded).prettyText) }
        print(SettingsReference.listing(loaded), terminator: "")
    }
}

struct SettingsReferenceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference", abstract: "Print the reference of all settings, in Markdown.")

    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false

    func run() {
        if isJSON { return print(SettingsReference.document(LoadedSettings()).prettyText) }
        print(SettingsReference.markdown, terminator: "")
    }
}
