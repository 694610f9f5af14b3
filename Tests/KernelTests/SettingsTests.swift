import Foundation
import Testing

@testable import Kernel

@Suite("Settings")
struct SettingsTests {
    private func findings(
        _ yaml: String, environment: [String: String] = [:], flags: [String: String] = [:]
    ) -> [String] {
        do {
            _ = try SettingsLoader.load(yaml: yaml, name: "reeve.yaml", environment: environment, flags: flags)
            return []
        } catch let problem as Problem {
            return problem.members["findings"]?.array?.compactMap { $0["sentence"]?.string } ?? [problem.detail]
        } catch {
            return ["\(error)"]
        }
    }

    /// The leaves of a settings tree by their paths.
    private func leaves(_ value: Any, _ path: String = "") -> [String] {
        let mirror = Mirror(reflecting: value)
        guard mirror.displayStyle == .struct, !mirror.children.isEmpty else { return [path] }
        return mirror.children.flatMap { leaves($0.value, path.isEmpty ? $0.label ?? "" : "\(path).\($0.label ?? "")") }
    }

    @Test("each field has its entry, in the table's order, and each entry its field")
    func tableIsComplete() {
        // Models and alerts are documents of the operator's own, without a table.
        let fields = leaves(Settings()).filter { !$0.hasPrefix("catalogue.") && !$0.hasPrefix("alerts.") }
        let entries = SettingsTable.entries.map(\.path)
        #expect(Set(fields) == Set(entries))
        #expect(Set(SettingsTable.entries.map(\.environmentName)).count == entries.count)
        #expect(SettingsTable.entries.allSatisfy { $0.summary.hasSuffix(".") })
    }

    @Test("each entry sets its own field and no other, and takes its own default")
    func entriesAreWired() throws {
        for entry in SettingsTable.entries {
            let sample = Self.sample(entry)
            var settings = Settings()
            #expect(entry.apply(&settings, .text(sample, isQuoted: false)), "\(entry.path)")
            let changed = SettingsTable.entries.filter { $0.show(settings) != $0.show(Settings()) }.map(\.path)
            #expect(changed == [entry.path], "\(entry.path)")
            if !entry.show(Settings()).isNull {
                let value = entry.show(Settings())
                var again = Settings()
                #expect(entry.apply(&again, .text(value.string ?? value.text, isQuoted: false)), "\(entry.path)")
            }
        }
    }

    /// An acceptable value that is not the default.
    private static func sample(_ entry: SettingsEntry) -> String {
        if let number = entry.show(Settings()).int { return String(number + 1) }
        if let flag = entry.show(Settings()).bool { return String(!flag) }
        return switch entry.path {
        case "log.level": "critical"
        case "log.format": "text"
        case "http.publicURL": "https://reeve.example"
        case "storage.databaseURL": "postgres://db/reeve"
        case "telemetry.storeURL": "clickhouse://db/reeve"
        case "telemetry.kafka": "kafka://broker/logs"
        default: "elsewhere"
        }
    }

    @Test(
        "names of variables",
        arguments: [
            ("limits.bodyBytes", "REEVE_LIMITS_BODY_BYTES"), ("http.publicURL", "REEVE_HTTP_PUBLIC_URL"),
            ("storage.databaseURL", "REEVE_STORAGE_DATABASE_URL"), ("log.level", "REEVE_LOG_LEVEL"),
            ("agents.heartbeatsPerSecondTarget", "REEVE_AGENTS_HEARTBEATS_PER_SECOND_TARGET"),
        ])
    func environmentNames(path: String, name: String) {
        #expect(SettingsTable.entry(path: path)?.environmentName == name)
    }

    @Test("each source counts over the one before")
    func precedence() throws {
        let yaml = "http:\n  port: 1111\n  host: file\nlimits:\n  bodyBytes: 1_048_576\nlog:\nevents: ~\n"
        let loaded = try SettingsLoader.load(
            yaml: yaml, name: "reeve.yaml",
            environment: ["REEVE_HTTP_PORT": "2222", "REEVE_LIMITS_PAGE_ROWS": "7", "PATH": "/bin"],
            flags: ["http.port": "3333"])
        #expect(loaded.settings.http.port == 3333)
        #expect(loaded.settings.http.host == "file")
        #expect(loaded.settings.limits.bodyBytes == 1 << 20)
        #expect(loaded.settings.limits.pageRows == 7)
        #expect(loaded.settings.limits.jsonDepth == 64)
        #expect(loaded.origin("http.port") == .flag)
        #expect(loaded.origin("http.host") == .file)
        #expect(loaded.origin("limits.pageRows") == .environment)
        #expect(loaded.origin("limits.jsonDepth") == .byDefault)
    }

    @Test(
        "an empty file, comments alone and an absent file are the defaults",
        arguments: ["", "# nothing\n", "---\n", "~"])
    func emptyFiles(yaml: String) throws {
        #expect(try SettingsLoader.load(yaml: yaml, name: "x").settings.http.port == 7070)
        #expect(try SettingsLoader.load(file: nil, environment: [:]).http.port == 7070)
    }

    @Test(
        "what is wrong is said with its path, place, value and what is allowed",
        arguments: [
            (
                "limits:\n  bodyByte: 5",
                "limits.bodyByte is no setting (reeve.yaml, line 2); the nearest one is limits.bodyBytes."
            ),
            (
                "limit:\n  bodyBytes: 5",
                "limit is no group of settings (reeve.yaml, line 1); the nearest one is limits."
            ),
            (
                "http:\n  port: 70700",
                "http.port takes a whole number from 0 to 65535, but \"70700\" was given (reeve.yaml, line 2)."
            ),
            (
                "http:\n  port: \"7070\"",
                "http.port takes a whole number from 0 to 65535, but \"7070\" was given (reeve.yaml, line 2)."
            ),
            (
                "http:\n  port: 7e3",
                "http.port takes a whole number from 0 to 65535, but \"7e3\" was given (reeve.yaml, line 2)."
            ),
            (
                "http:\n  port:",
                "http.port takes a whole number from 0 to 65535, but nothing was given (reeve.yaml, line 2)."
            ),
            (
                "http:\n  port: [1]",
                "http.port takes a whole number from 0 to 65535, but a list was given (reeve.yaml, line 2)."
            ),
            (
                "http:\n  host: {a: 1}",
                "http.host takes a text that is not empty, but a mapping was given (reeve.yaml, line 2)."
            ),
            ("http: 7070", "http takes settings below it, not a single value or a list (reeve.yaml, line 1)."),
            (
                "log:\n  format: xml",
                "log.format takes one of auto, json, text, but \"xml\" was given (reeve.yaml, line 2)."
            ),
            ("- 1", "reeve.yaml must hold groups such as `http:` with settings below them."),
            (
                "http:\n  publicURL: ftp://x",
                "http.publicURL takes an address that begins with http:// or https://, or nothing, but \"ftp://x\" was"
                    + " given (reeve.yaml, line 2)."
            ),
            (
                "tasks:\n  backoffBaseSeconds: 400",
                "tasks.backoffBaseSeconds is 400, but it may not exceed tasks.backoffCapSeconds, which is 300."
            ),
        ])
    func refusals(yaml: String, sentence: String) {
        #expect(findings(yaml) == [sentence])
    }

    @Test(
        "broken YAML and repeated keys are refused",
        arguments: ["http: [", "http:\n  port: 1\n  port: 2", "\tx: 1", "a: *b"])
    func brokenFiles(yaml: String) {
        let found = findings(yaml)
        #expect(found.count == 1)
        #expect(found.first?.contains("is not acceptable YAML") == true, "\(found)")
        #expect(found.first?.contains("\n") == false)
    }

    @Test("all findings come at once, and nothing unknown in the environment passes")
    func environmentFindings() {
        let found = findings(
            "x: 1",
            environment: [
                "REEVE_HTTP_PROT": "1", "REEVE_TASKS_SWEEP_MILLISECONDS": "fast", "REEVE_URL": "u", "REEVE_KEY": "k",
                "REEVE_TASK_FILE": "f", "REEVE_OUTPUT_DIR": "d", "REEVE_TEST_POSTGRES": "p", "REEVER": "ours not",
            ], flags: ["http.porz": "1"])
        #expect(found.count == 4, "\(found)")
        #expect(found[1] == "REEVE_HTTP_PROT in the environment is no setting; the nearest one is REEVE_HTTP_PORT.")
        #expect(found[2].contains("\"fast\" was given (REEVE_TASKS_SWEEP_MILLISECONDS)"))
        #expect(found[3] == "http.porz is no setting (a flag); the nearest one is http.port.")
    }

    @Test(
        "a password is never shown",
        arguments: [
            ("postgres://reeve:s3cret@db:5432/reeve", "postgres://reeve:***@db:5432/reeve"),
            ("postgres://reeve:s3@cret@db/reeve", "postgres://reeve:***@db/reeve"),
            ("postgres://reeve@db/reeve", "postgres://reeve@db/reeve"),
            ("postgres://db/reeve?user=a&password=s3cret&x=1", "postgres://db/reeve?user=a&password=***&x=1"),
            ("postgresql://reeve:s3cret@/r?host=%2Ftmp", "postgresql://reeve:***@/r?host=%2Ftmp"),
        ])
    func secrets(address: String, shown: String) throws {
        let loaded = try SettingsLoader.load(
            yaml: nil, name: "", environment: ["REEVE_STORAGE_DATABASE_URL": address])
        #expect(loaded.settings.storage.databaseURL == address)
        #expect(SettingsReference.listing(loaded).contains(shown))
        #expect(!SettingsReference.document(loaded).text.contains("s3"))
        #expect(findings("storage:\n  databaseURL: mysql://a:s3cret@b").first?.contains("s3cret") == false)
    }

    @Test("a file is read from disk; a named one that is not there is refused")
    func files() throws {
        let number = ProcessInfo.processInfo.processIdentifier
        let folder = FileManager.default.temporaryDirectory.path + "/reeve-settings-\(number)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(SettingsLoader.file(named: nil, in: folder) == nil)
        let path = folder + "/reeve.yaml"
        try Data("http:\n  port: 9\n".utf8).write(to: URL(fileURLWithPath: path))
        #expect(SettingsLoader.file(named: nil, in: folder) == path)
        #expect(try SettingsLoader.load(file: path, environment: [:]).http.port == 9)
        #expect(throws: Problem.self) { try SettingsLoader.load(file: folder + "/absent.yaml", environment: [:]) }
        try Data(repeating: 0x23, count: SettingsLoader.fileBytesMax + 1).write(to: URL(fileURLWithPath: path))
        #expect(throws: Problem.self) { try SettingsLoader.load(file: path, environment: [:]) }
    }

    @Test("each section of the settings is in the reference")
    func sections() {
        let groups = Mirror(reflecting: Settings()).children.compactMap(\.label)
        #expect(groups.contains("alerts") && groups.contains("catalogue"))
        for group in groups.flatMap({ $0 == "catalogue" ? Settings.Catalogue.sections : [$0] }) {
            #expect(SettingsReference.markdown.contains("\n## \(group)\n"), "\(group)")
        }
    }

    @Test("the listing is itself a settings file, and the reference names everything")
    func documents() throws {
        let loaded = try SettingsLoader.load(yaml: "http:\n  port: 81\n", name: "x")
        let again = try SettingsLoader.load(yaml: SettingsReference.listing(loaded), name: "y")
        for entry in SettingsTable.entries { #expect(entry.show(again.settings) == entry.show(loaded.settings)) }
        for entry in SettingsTable.entries {
            #expect(SettingsReference.markdown.contains("| `\(entry.path)` | `\(entry.environmentName)` |"))
        }
    }
}
