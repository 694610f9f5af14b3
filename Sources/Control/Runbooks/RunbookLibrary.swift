import Foundation
import Kernel
import Telemetry

/// The runbooks that there are: those that Reeve ships, and in their place those of the settings' files.
public struct RunbookLibrary: Sendable {
    /// Files that are read.
    public static let filesMax = 1_000

    /// Why a file is not taken.
    public struct Fault: Error, Sendable, CustomStringConvertible {
        public let file: String
        public let line: Int
        public let column: Int
        public let reason: String
        public var description: String { "\(file):\(line):\(column): \(reason)" }
    }

    /// By name.
    public let runbooks: [Runbook]

    /// Those that Reeve ships.
    public static let shipped: RunbookLibrary = {
        do {
            return try RunbookLibrary(ShippedRunbooks.sources.map { try Runbook($0) })
        } catch {
            preconditionFailure("a shipped runbook cannot be read: \(error)")
        }
    }()

    /// - Throws: ``Fault`` where two have one name, or serve one alert.
    init(_ all: [Runbook]) throws {
        var names: [String: Runbook] = [:]
        var alerts: [String: Runbook] = [:]
        for runbook in all {
            if names.updateValue(runbook, forKey: runbook.name) != nil {
                throw Fault(
                    file: runbook.file, line: 1, column: 1, reason: "there are two runbooks \"\(runbook.name)\"")
            }
            for alert in runbook.alerts {
                guard let other = alerts.updateValue(runbook, forKey: alert) else { continue }
                throw Fault(
                    file: runbook.file, line: 1, column: 1,
                    reason: "the alert \(alert) has two runbooks: \(other.name) and \(runbook.name)")
            }
        }
        runbooks = names.values.sorted { $0.name < $1.name }
    }

    /// The shipped ones with these in their place: by their name, and by the alerts that they serve.
    public func replaced(by own: [Runbook]) throws -> RunbookLibrary {
        let (names, alerts) = (Set(own.map(\.name)), Set(own.flatMap(\.alerts)))
        let rest = runbooks.filter { runbook in
            !names.contains(runbook.name) && !runbook.alerts.contains(where: alerts.contains)
        }
        return try RunbookLibrary(rest + own)
    }

    /// Reads files: `*` and `?` stand for parts of names, paths begin beside the settings file.
    ///
    /// - Throws: ``Fault``.
    public static func read(_ globs: [String], beside folder: String) throws -> [Runbook] {
        var files: [String] = []
        for pattern in globs {
            let path = path(pattern, beside: folder)
            let found = matches(path)
            guard !found.isEmpty else {
                throw Fault(file: path, line: 1, column: 1, reason: "there is no such file")
            }
            files += found.filter { !files.contains($0) }
        }
        guard files.count <= filesMax else {
            throw Fault(file: globs[0], line: 1, column: 1, reason: "\(filesMax) files are the most that are read")
        }
        return try files.map(read)
    }

    public static func read(_ file: String) throws -> Runbook {
        guard let facts = FileFacts(file), facts.isRegular else {
            throw Fault(file: file, line: 1, column: 1, reason: "it is no file that can be read")
        }
        // What is no runbook is not read whole to find that out.
        guard let handle = FileHandle(forReadingAtPath: file),
            let data = try? handle.read(upToCount: Runbook.bytesMax + 1) ?? Data(),
            let text = String(data: data, encoding: .utf8) ?? (data.count > Runbook.bytesMax ? "" : nil)
        else { throw Fault(file: file, line: 1, column: 1, reason: "it cannot be read as a text") }
        guard data.count <= Runbook.bytesMax else {
            throw Fault(file: file, line: 1, column: 1, reason: "a runbook has \(Runbook.bytesMax) bytes at most")
        }
        do { return try Runbook(text, file: file) } catch {
            throw Fault(file: file, line: error.line, column: error.column, reason: error.reason)
        }
    }

    /// Stands for what the files of these globs are: another text once one came, went or was written anew.
    static func signature(_ globs: [String], beside folder: String) -> String {
        globs.flatMap { matches(path($0, beside: folder)) }.map { file in
            "\(file) \(FileFacts(file)?.signature ?? "")"
        }.joined(separator: "\n")
    }

    private static func path(_ pattern: String, beside folder: String) -> String {
        pattern.hasPrefix("/") || folder.isEmpty ? pattern : "\(folder)/\(pattern)"
    }

    private static func matches(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0, let paths = found.gl_pathv else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { paths[$0].map { String(cString: $0) } }
    }

    /// The shipped ones, with those of `runbooks: [globs]` in the settings' section `alerts` in their place.
    ///
    /// - Throws: ``Problem`` `invalid` where the section is wrong, ``Fault`` where a file is.
    public static func configured(by document: JSONValue, beside folder: String) throws -> RunbookLibrary {
        let globs = try globs(of: document)
        return globs.isEmpty ? shipped : try shipped.replaced(by: read(globs, beside: folder))
    }

    static func globs(of document: JSONValue) throws -> [String] {
        guard let given = document["runbooks"], !given.isNull else { return [] }
        let globs = given.array?.compactMap(\.string) ?? []
        guard let count = given.array?.count, count == globs.count, count <= filesMax else {
            throw Problem.invalid("alerts/runbooks", "a list of paths is expected, such as [runbooks/*.yml]")
        }
        return globs
    }

    public func runbook(_ name: String) -> Runbook? { runbooks.first { $0.name == name } }

    func runbook(ofAlert name: String) -> Runbook? { runbooks.first { $0.alerts.contains(name) } }

    /// The one for an incident: of the alert that weighs most, or of its mode.
    func runbook(for incident: Incident, alerts: [IncidentAlert]) -> Runbook? {
        for alert in alerts.sorted(by: Self.weighsMore) {
            if let found = runbook(ofAlert: alert.name) { return found }
        }
        return incident.mode.flatMap { runbook($0.rawValue) }
    }

    /// What fires before what has ended, then the most severe, then the newest.
    private static func weighsMore(_ left: IncidentAlert, _ right: IncidentAlert) -> Bool {
        guard (left.endedAt == nil) == (right.endedAt == nil) else { return left.endedAt == nil }
        let severities = Incident.Severity.allCases
        func place(_ alert: IncidentAlert) -> Int {
            Incident.Severity(alert: alert.severity).flatMap(severities.firstIndex) ?? severities.count
        }
        guard place(left) == place(right) else { return place(left) < place(right) }
        return left.lastAt == right.lastAt ? left.name < right.name : left.lastAt > right.lastAt
    }
}

/// What is known of a file before it is read. Links are followed: a directory of settings may be swapped by one.
private struct FileFacts {
    let isRegular: Bool
    /// Another text once the file was written, replaced or given other rights.
    let signature: String

    init?(_ path: String) {
        var facts = stat()
        guard stat(path, &facts) == 0 else { return nil }
        isRegular = facts.st_mode & S_IFMT == S_IFREG
        signature =
            "\(facts.st_ino) \(facts.st_size) \(facts.st_mtim.tv_sec).\(facts.st_mtim.tv_nsec) "
            + "\(facts.st_ctim.tv_sec).\(facts.st_ctim.tv_nsec)"
    }
}
