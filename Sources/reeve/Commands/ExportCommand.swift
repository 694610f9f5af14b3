import ArgumentParser
import Foundation
import Kernel
import Telemetry

/// `reeve export`: files for the programs beside Reeve. Exit status: 0 written, 1 refused or failed, 2 a wrong call.
struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write settings for Prometheus, Alertmanager and Grafana.",
        discussion: """
            Needs no server. A file that somebody else wrote, or edited since the last export, stays as it is unless \
            --force is given. Exit status: 0 written, 1 nothing was written, 2 a wrong call.
            """,
        subcommands: [ExportPrometheus.self, ExportAlertmanager.self, ExportGrafana.self])
}

/// Where to write, and how to say so.
struct ExportOptions: ParsableArguments {
    @Argument(help: "The folder to write to; it is made where it is not there.")
    var folder: String

    @Flag(help: "Write over files that are not the export's own.")
    var force = false

    @Flag(name: .customLong("json"), help: "Print one JSON document.")
    var isJSON = false

    func write(_ files: [ExportFile], next: String) throws {
        let place = ExportFolder(path: folder)
        do throws(ExportFolder.Fault) {
            report(try place.write(files, overwriting: force), in: place.path, next: next)
        } catch {
            complain(error)
            throw ExitCode(1)
        }
    }

    private func report(
        _ outcomes: [(path: String, outcome: ExportFolder.Outcome)], in folder: String, next: String
    ) {
        if isJSON {
            let files = outcomes.map { file -> JSONValue in
                ["path": .string(file.path), "outcome": .string(file.outcome.rawValue)]
            }
            return print((["folder": .string(folder), "files": .array(files)] as JSONValue).prettyText)
        }
        for file in outcomes {
            print("\(file.outcome.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)) \(file.path)")
        }
        print(next)
    }

    private func complain(_ fault: ExportFolder.Fault) {
        let (detail, hint, paths) =
            switch fault {
            case .foreign(let paths):
                (
                    "Nothing was written: \(paths.joined(separator: ", ")) in \(folder) is not the export's own, or "
                        + "was edited since.",
                    "Take another folder, or --force to write over it.", paths
                )
            case .failed(let path, let reason):
                ("\(path) cannot be read or written: \(reason).", "Look at the folder's rights and its disk.", [path])
            }
        if isJSON {
            let document: JSONValue = [
                "ok": false, "detail": .string(detail), "hint": .string(hint), "paths": .list(paths),
            ]
            print(document.prettyText)
        } else {
            Screen.complain("\(detail)\n\(hint)\n")
        }
    }
}

struct ExportPrometheus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prometheus", abstract: "prometheus.yml, alert rules, and unit tests of the rules.")

    @OptionGroup var options: ExportOptions
    @Option(help: "Reeve's address; several for several replicas.") var url: [String] = ["http://127.0.0.1:7070"]
    @Option(help: "Where Prometheus finds a viewer's key, from prometheus.yml on.") var credentialsFile = "reeve.key"
    @Option(help: "An Alertmanager as HOST:PORT; several for a cluster.") var alertmanager: [String] = [
        "127.0.0.1:9093"
    ]

    func run() throws {
        let addresses = try url.map(ExportAddress.init)
        guard Set(addresses.map(\.isTLS)).count == 1 else {
            throw ValidationError("All --url are either http or https: Prometheus scrapes a job by one of them.")
        }
        for place in alertmanager where !ExportAddress.isPlace(place) {
            throw ValidationError("--alertmanager \(place) is no HOST:PORT.")
        }
        let export = PrometheusExport(
            targets: addresses.map(\.place), isTLS: addresses[0].isTLS, credentialsFile: credentialsFile,
            alertmanagers: alertmanager)
        try options.write(
            export.files,
            next: "Put a viewer's key into \(credentialsFile) beside prometheus.yml, then: promtool check config "
                + "\(options.folder)/prometheus.yml")
    }
}

struct ExportAlertmanager: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alertmanager", abstract: "alertmanager.yml: routes, grouping, and what keeps what quiet.")

    @OptionGroup var options: ExportOptions
    @Option(help: "Where alerts are posted; without it the receivers reach nobody yet.") var webhook: String?

    func run() throws {
        if let webhook { _ = try ExportAddress(webhook) }
        try options.write(
            AlertmanagerExport(webhook: webhook).files,
            next: "Then: amtool check-config \(options.folder)/alertmanager.yml")
    }
}

struct ExportGrafana: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grafana", abstract: "Dashboards, with the files that provision them and their data source.")

    @OptionGroup var options: ExportOptions
    @Option(help: "Prometheus' address, as Grafana reaches it.") var prometheus = "http://127.0.0.1:9090"
    @Option(help: "Where Grafana finds the dashboards; the export's own folder unless given.") var dashboards: String?

    func run() throws {
        _ = try ExportAddress(prometheus)
        let path = dashboards ?? ExportFolder(path: options.folder).path + "/dashboards"
        try options.write(
            GrafanaExport(prometheusURL: prometheus, dashboardsPath: path).files,
            next: "Copy or link \(options.folder)/provisioning into Grafana's provisioning folder, and start it again.")
    }
}

/// An `http` or `https` address of another program.
private struct ExportAddress {
    /// `host:port`.
    let place: String
    let isTLS: Bool

    init(_ text: String) throws {
        guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty,
            let scheme = parts.scheme, scheme == "http" || scheme == "https"
        else { throw ValidationError("\(text) is no address: http://HOST:PORT is expected.") }
        isTLS = scheme == "https"
        place = "\(host):\(parts.port ?? (isTLS ? 443 : 80))"
    }

    static func isPlace(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else { return false }
        return UInt16(text[text.index(after: colon)...]).map { $0 > 0 } ?? false
    }
}
