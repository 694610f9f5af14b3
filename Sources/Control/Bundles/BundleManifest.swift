import Kernel

/// What `agent.yaml` says, each with where it stands. Reading goes on behind a fault, so that all are told at once.
public struct BundleManifest: Sendable {
    public struct Entry: Sendable {
        public let name: String
        public let value: JSONValue
        public let line: Int
        public let column: Int
    }

    /// Entries of one section.
    public static let entriesMax = 500

    public private(set) var sections: [BundleKeys.Section: [Entry]] = [:]
    public private(set) var findings: [BundleFinding] = []

    public subscript(section: BundleKeys.Section) -> [Entry] { sections[section] ?? [] }

    /// Every value by its key, such as `models.main`.
    public var values: [(key: String, value: JSONValue)] {
        BundleKeys.Section.allCases.flatMap { section in
            self[section].map { ("\(section.rawValue).\($0.name)", $0.value) }
        }
    }

    public init(_ text: String) {
        let document: MarkedYAML
        do { document = try MarkedYAML(text) } catch {
            refuse(.schema, error.line, error.column, error.reason)
            return
        }
        guard case .mapping(let members) = document.content else {
            refuse(
                .schema, document.line, document.column,
                "members are expected: \(BundleKeys.Section.allCases.map(\.rawValue).joined(separator: ", "))")
            return
        }
        for (key, value) in members {
            guard case .scalar(let name, _) = key.content else {
                refuse(.schema, key.line, key.column, "a name is expected here")
                continue
            }
            guard let section = BundleKeys.Section(rawValue: name) else {
                refuse(.unknownKey, key.line, key.column, Self.unknown(name))
                continue
            }
            read(section, value)
        }
    }

    private static func unknown(_ name: String) -> String {
        let known = BundleKeys.Section.allCases.map(\.rawValue)
        if let near = NearestKey.of(name, among: known, strict: false) {
            return "\"\(name.prefix(60))\" is not known; did you mean \"\(near)\"?"
        }
        return "\"\(name.prefix(60))\" is not known; known are \(known.joined(separator: ", "))"
    }

    private mutating func refuse(_ rule: BundleRule, _ line: Int, _ column: Int, _ message: String) {
        findings.append(BundleFinding(rule, AgentBundle.manifestPath, line: line, column: column, message))
    }

    private mutating func refuse(_ rule: BundleRule, at node: MarkedYAML, _ message: String) {
        refuse(rule, node.line, node.column, message)
    }

    // MARK: Sections

    private mutating func read(_ section: BundleKeys.Section, _ node: MarkedYAML) {
        var entries: [Entry] = []
        switch node.content {
        case .null: break
        case .mapping(let members):
            for (key, value) in members {
                guard case .scalar(let name, _) = key.content, Self.isKey(name, in: section) else {
                    refuse(.schema, at: key, "a name of letters, digits, - and _ is expected")
                    continue
                }
                entries.append(Self.entry(name, value))
            }
        case .sequence(let elements) where section.takesList:
            for element in elements {
                guard case .scalar(let text, _) = element.content else {
                    refuse(.schema, at: element, "a path is expected here")
                    continue
                }
                entries.append(Self.entry(section.name(of: text), element))
            }
        case .scalar where section == .prompts: entries = [Self.entry("system", node)]
        default:
            refuse(.schema, at: node, "\(section.rawValue): members are expected here, such as `name: …`")
        }
        var names: Set<String> = []
        for entry in entries where !names.insert(entry.name).inserted {
            refuse(.schema, entry.line, entry.column, "\"\(entry.name)\" comes twice")
        }
        if entries.count > Self.entriesMax {
            refuse(.schema, at: node, "\(section.rawValue) has more than \(Self.entriesMax) entries")
        }
        sections[section] = Array(entries.prefix(Self.entriesMax))
    }

    /// A part of a key: no dots, which stand between its parts; but tools are called as models see them.
    static func isKey(_ text: String, in section: BundleKeys.Section) -> Bool {
        (1...(section == .tools ? 128 : 100)).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy {
                $0 == "-" || $0 == "_" || ($0 == "." && section == .tools)
                    || ($0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0)))
            }
    }

    private static func entry(_ name: String, _ node: MarkedYAML) -> Entry {
        Entry(name: name, value: json(node), line: node.line, column: node.column)
    }

    /// The value as YAML's core schema has it (yaml.org/spec/1.2.2 §10.3).
    static func json(_ node: MarkedYAML) -> JSONValue {
        switch node.content {
        case .null: return .null
        case .scalar(let text, true): return .string(text)
        case .scalar(let text, false):
            switch text {
            case "true", "True", "TRUE": return .bool(true)
            case "false", "False", "FALSE": return .bool(false)
            default: break
            }
            if let number = Int64(text) { return .int(number) }
            let isNumeric = text.utf8.allSatisfy { "0123456789.eE+-".utf8.contains($0) }
            if isNumeric, let number = Double(text), number.isFinite { return .double(number) }
            return .string(text)
        case .sequence(let elements): return .array(elements.map(json))
        case .mapping(let members):
            var object = JSONObject()
            for (key, value) in members { object.append((try? key.text()) ?? "", json(value)) }
            return .object(object)
        }
    }
}

extension BundleKeys.Section {
    /// Sections that may be a list, whose names are those of its files.
    fileprivate var takesList: Bool { self == .tools || self == .prompts || self == .secrets }

    /// What the entry of a list is called: `tools/search.yaml` is `search`.
    fileprivate func name(of path: String) -> String {
        let last = path.split(separator: "/").last.map(String.init) ?? path
        return last.split(separator: ".").first.map(String.init) ?? last
    }
}
