import Foundation
import Yams

extension ProblemCode {
    /// The file, a variable or a flag holds what is no setting, or not an acceptable value.
    public static let invalidSettings = ProblemCode("invalid_settings", 422, "The settings are not acceptable")
}

/// Where a setting's value came from.
public enum SettingsOrigin: String, Sendable {
    case byDefault = "default"
    case file
    case environment
    case flag
}

/// Settings together with where each one came from.
public struct LoadedSettings: Sendable {
    public var settings = Settings()
    /// By path; what is absent is a default.
    public var origins: [String: SettingsOrigin] = [:]

    public init() {}

    public func origin(_ path: String) -> SettingsOrigin { origins[path] ?? .byDefault }
}

/// One thing wrong with the settings.
public struct SettingsFinding: Sendable, Equatable, JSONConvertible {
    /// The setting's path, or the unknown name.
    public let path: String
    /// `reeve.yaml, line 3`, the variable's name, or `a flag`.
    public let place: String
    /// What was given, what is allowed, and where.
    public let sentence: String

    public init(path: String, place: String, sentence: String) {
        self.path = path
        self.place = place
        self.sentence = sentence
    }

    public var json: JSONValue { ["path": .string(path), "place": .string(place), "sentence": .string(sentence)] }
}

/// Reads settings: defaults, then the file, then the environment, then flags, each over those before.
///
/// All that is wrong is found in one go and thrown as one ``Problem`` with the code `invalid_settings`; its member
/// `findings` lists each. Nothing is ignored: a name that is no setting is refused with the nearest one that is.
public enum SettingsLoader {
    /// The file that is read from the working directory where none is named.
    public static let fileNameDefault = "reeve.yaml"
    /// Bytes of a settings file.
    static let fileBytesMax = 1 << 20

    /// The file to read: the one named, else ``fileNameDefault`` in `directory` where it exists, else none.
    public static func file(named: String?, in directory: String = ".") -> String? {
        if let named { return named }
        let path = directory == "." ? fileNameDefault : directory + "/" + fileNameDefault
        return FileManager.default.fileExists(atPath: path) ? path : nil
    }

    /// - Parameters:
    ///   - file: The path of a YAML file, which must exist; `nil` reads none. See ``file(named:in:)``.
    ///   - environment: All variables of the process; those that do not begin with `REEVE_` are not looked at.
    ///   - flags: Values by path, such as `http.port`, as the command line gave them.
    /// - Throws: ``Problem`` `invalid_settings`, or `not_found` for a file that cannot be read.
    public static func load(
        file: String?, environment: [String: String], flags: [String: String] = [:]
    ) throws -> Settings {
        try loadWithOrigins(file: file, environment: environment, flags: flags).settings
    }

    /// Like ``load(file:environment:flags:)``, and tells where each value came from.
    public static func loadWithOrigins(
        file: String?, environment: [String: String], flags: [String: String] = [:]
    ) throws -> LoadedSettings {
        let yaml = try file.map(readFile)
        return try load(yaml: yaml, name: file ?? "", environment: environment, flags: flags)
    }

    /// Loads with the file's text at hand; `name` is how messages call it.
    static func load(
        yaml: String?, name: String, environment: [String: String] = [:], flags: [String: String] = [:]
    ) throws -> LoadedSettings {
        var reading = SettingsReading()
        if let yaml { reading.readFile(yaml, name: name) }
        reading.readEnvironment(environment)
        for (path, text) in flags.sorted(by: { $0.key < $1.key }) {
            reading.apply(path, .text(text, isQuoted: false), from: .flag, place: "a flag")
        }
        reading.checkTogether()
        guard reading.findings.isEmpty else { throw problem(reading.findings) }
        return reading.loaded
    }

    private static func readFile(_ path: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Problem(
                .notFound, "The settings file \"\(path)\" cannot be read.",
                hint: "Name a file that exists and that Reeve may read, or leave `--config` out.")
        }
        guard data.count <= fileBytesMax, let text = String(validating: data, as: UTF8.self) else {
            throw Problem(
                .invalidSettings, "The settings file \"\(path)\" is larger than \(fileBytesMax) bytes or not UTF-8.",
                hint: "`reeve settings reference` shows what belongs in it.")
        }
        return text
    }

    private static func problem(_ findings: [SettingsFinding]) -> Problem {
        Problem(
            .invalidSettings, findings.map(\.sentence).joined(separator: "\n"),
            hint: "`reeve settings reference` lists every setting with what it takes.",
            field: findings.first?.path, members: JSONObject([.init(name: "findings", value: .list(findings))]))
    }
}

/// One loading in progress.
struct SettingsReading {
    private(set) var loaded = LoadedSettings()
    private(set) var findings: [SettingsFinding] = []

    mutating func apply(_ path: String, _ input: SettingsInput, from origin: SettingsOrigin, place: String) {
        guard let entry = SettingsTable.entry(path: path) else {
            let nearest = SettingsTable.nearest(path, among: SettingsTable.entries.map(\.path))
            return refuse(path, place, "\(path) is no setting (\(place)); the nearest one is \(nearest).")
        }
        guard entry.apply(&loaded.settings, input) else {
            let given = entry.isSecret ? "a value that is not shown" : input.words
            return refuse(path, place, "\(path) takes \(entry.allowed), but \(given) was given (\(place)).")
        }
        loaded.origins[path] = origin
    }

    mutating func readFile(_ yaml: String, name: String) {
        let root: Node?
        do {
            root = try Yams.compose(yaml: yaml)
        } catch {
            return refuse("", name, "\(name) is not acceptable YAML: \(YAMLDocument.words(error)).")
        }
        guard let root, !Self.isNull(root) else { return }
        guard case .mapping(let groups) = root else {
            return refuse("", name, "\(name) must hold groups such as `http:` with settings below them.")
        }
        let known = Set(SettingsTable.entries.map(\.group))
        for (keyNode, value) in groups {
            let place = Self.place(name, keyNode)
            let group = keyNode.scalar?.string ?? "?"
            if Settings.Catalogue.sections.contains(group) {
                readCatalogue(group, value, name)
                continue
            }
            if group == Settings.Alerts.section {
                loaded.settings.alerts.document = YAMLDocument.value(value)
                loaded.settings.alerts.file = name
                loaded.origins[group] = .file
                continue
            }
            guard known.contains(group) else {
                let nearest = SettingsTable.nearest(group, among: known.sorted())
                refuse(group, place, "\(group) is no group of settings (\(place)); the nearest one is \(nearest).")
                continue
            }
            if Self.isNull(value) { continue }
            guard case .mapping(let members) = value else {
                refuse(group, place, "\(group) takes settings below it, not a single value or a list (\(place)).")
                continue
            }
            for (member, node) in members {
                let path = group + "." + (member.scalar?.string ?? "?")
                apply(path, Self.input(node), from: .file, place: Self.place(name, member))
            }
        }
        placeFiles(besides: name)
    }

    /// A path in a settings file begins beside it.
    private mutating func placeFiles(besides name: String) {
        guard let slash = name.lastIndex(of: "/") else { return }
        func placed(_ path: String) -> String { path.hasPrefix("/") ? path : name[...slash] + path }
        loaded.settings.oncall.file = loaded.settings.oncall.file.map(placed)
        loaded.settings.secrets.masterKeyFile = loaded.settings.secrets.masterKeyFile.map(placed)
    }

    private mutating func readCatalogue(_ section: String, _ node: Node, _ name: String) {
        var document = loaded.settings.catalogue.document.object ?? JSONObject()
        document.append(section, YAMLDocument.value(node))
        loaded.settings.catalogue.document = .object(document)
        loaded.settings.catalogue.file = name
        loaded.origins[section] = .file
    }

    mutating func readEnvironment(_ environment: [String: String]) {
        let others = Set(SettingsTable.otherVariables.map(\.name))
        for (name, text) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("REEVE_") {
            if others.contains(name) || name.hasPrefix(SettingsTable.testVariablePrefix) { continue }
            guard let entry = SettingsTable.entry(environmentName: name) else {
                let nearest = SettingsTable.nearest(name, among: SettingsTable.entries.map(\.environmentName) + others)
                refuse(name, name, "\(name) in the environment is no setting; the nearest one is \(nearest).")
                continue
            }
            apply(entry.path, .text(text, isQuoted: false), from: .environment, place: name)
        }
    }

    /// Rules between settings, checked once all are in.
    mutating func checkTogether() {
        let settings = loaded.settings
        let rules: [(isKept: Bool, path: String, sentence: String)] = [
            (
                settings.tasks.backoffBaseSeconds <= settings.tasks.backoffCapSeconds, "tasks.backoffBaseSeconds",
                "it may not exceed tasks.backoffCapSeconds, which is \(settings.tasks.backoffCapSeconds)"
            ),
            (
                settings.tasks.leaseSecondsDefault <= settings.limits.leaseSeconds, "tasks.leaseSecondsDefault",
                "it may not exceed limits.leaseSeconds, which is \(settings.limits.leaseSeconds)"
            ),
            (
                settings.agents.healthTimeoutSeconds <= settings.agents.healthIntervalSeconds,
                "agents.healthTimeoutSeconds",
                "it may not exceed agents.healthIntervalSeconds, which is \(settings.agents.healthIntervalSeconds)"
            ),
        ]
        for rule in rules where !rule.isKept {
            let value = SettingsTable.entry(path: rule.path)?.show(settings).text ?? ""
            refuse(rule.path, loaded.origin(rule.path).rawValue, "\(rule.path) is \(value), but \(rule.sentence).")
        }
    }

    private mutating func refuse(_ path: String, _ place: String, _ sentence: String) {
        findings.append(SettingsFinding(path: path, place: place, sentence: sentence))
    }

    private static func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar else { return false }
        return scalar.style == .plain && ["", "~", "null"].contains(scalar.string)
    }

    private static func input(_ node: Node) -> SettingsInput {
        switch node {
        case .scalar(let scalar): isNull(node) ? .nothing : .text(scalar.string, isQuoted: scalar.style != .plain)
        case .sequence: .collection("a list")
        case .mapping: .collection("a mapping")
        case .alias: .collection("an alias")
        }
    }

    private static func place(_ name: String, _ node: Node) -> String {
        node.mark.map { "\(name), line \($0.line)" } ?? name
    }
}

extension SettingsTable {
    /// The name with the fewest letters to change.
    static func nearest(_ name: String, among known: [String]) -> String {
        let name = String(name.prefix(100))
        return known.min { distance(name, $0) < distance(name, $1) } ?? ""
    }

    /// Levenshtein's distance, without regard to case.
    private static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right.lowercased().utf8)
        var row = Array(0...right.count)
        for (index, letter) in left.lowercased().utf8.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in right.indices {
                let change = diagonal + (right[column] == letter ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(change, row[column] + 1, diagonal + 1)
            }
        }
        return row[right.count]
    }
}
