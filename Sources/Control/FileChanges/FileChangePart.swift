import Kernel

/// Of what kind something is that people set in files, and that changes how the fleet behaves.
public enum FileChangePart: String, Sendable, CaseIterable {
    /// One setting, and the version of Reeve itself.
    case setting
    case provider
    case model
    case price
    case rule
    case runbook
    case route
    case receiver
    case oncall

    private static let (family, ending) = ("config.", "_changed")

    var eventType: String { Self.family + rawValue + Self.ending }

    /// The part whose changes are events of this type.
    init?(eventType: String) {
        guard eventType.hasPrefix(Self.family), eventType.hasSuffix(Self.ending) else { return nil }
        self.init(rawValue: String(eventType.dropFirst(Self.family.count).dropLast(Self.ending.count)))
    }

    /// Whether what they were and are is for those who operate the server. Models, prices, rules, runbooks and who is
    /// on call has addresses that everybody reads.
    var isForOperators: Bool {
        switch self {
        case .setting, .provider, .receiver, .route: true
        case .model, .price, .rule, .runbook, .oncall: false
        }
    }

    /// What stands for it in a timeline: `price:small`.
    func target(_ name: String) -> String { "\(rawValue):\(name)" }

    /// Settings that are a machine's own, and say nothing of the fleet where another machine has others.
    func isLocal(_ name: String) -> Bool {
        self == .setting && ["http.", "storage.", "log."].contains(where: name.hasPrefix)
    }
}

/// Things of one part with their members as texts, without secrets: what is compared, and kept until the next look.
struct FileChangeThings: Sendable, Equatable {
    /// Things of one part; those beyond are not looked at.
    static let thingsMax = 20_000
    /// Members of one thing, and characters of one that are kept as they are: of a longer one its digest is.
    static let membersMax = 200
    static let textMax = 300

    private(set) var byName: [String: [String: String]] = [:]

    init() {}

    /// Puts a thing in; a value that is long counts by its beginning and its digest.
    mutating func put(_ name: String, _ members: [String: String]) {
        guard byName.count < Self.thingsMax || byName[name] != nil else { return }
        var kept: [String: String] = [:]
        for (member, text) in members.sorted(by: { $0.key < $1.key }) {
            guard kept.count < Self.membersMax else {
                // A change of what is too much to be told apart is still one.
                let rest = members.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: "\n")
                kept["…"] = Self.mark(rest)
                break
            }
            kept[member] = text.count <= Self.textMax ? text : "\(text.prefix(Self.textMax))… \(Self.mark(text))"
        }
        byName[name] = kept
    }

    mutating func put(_ name: String, _ value: JSONValue) {
        var members: [String: String] = [:]
        Self.flatten(value, at: "", into: &members)
        put(name, members)
    }

    /// Stands for a text.
    private static func mark(_ text: String) -> String { String(Digest.sha256(text).prefix(16)) }

    private static func flatten(_ value: JSONValue, at path: String, into members: inout [String: String]) {
        func below(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
        switch value {
        case .object(let object):
            for member in object.members { flatten(member.value, at: below(member.name), into: &members) }
        case .array(let items) where items.allSatisfy({ $0.object == nil && $0.array == nil }):
            members[path] = items.map { $0.string ?? $0.text }.joined(separator: ", ")
        case .array(let items):
            for (index, item) in items.enumerated() { flatten(item, at: below("\(index)"), into: &members) }
        case .string(let text): members[path] = text
        case .null, .bool, .int, .double: members[path] = value.text
        }
    }
}

extension FileChangeThings: JSONConvertible {
    /// In an order of its own, so that the same things are the same text.
    var json: JSONValue {
        .object(
            JSONObject(
                byName.sorted { $0.key < $1.key }.map { name, members in
                    .init(
                        name: name,
                        value: .object(
                            JSONObject(
                                members.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: .string($0.value)) }
                            )))
                }))
    }

    init(_ json: JSONValue) {
        for thing in json.object?.members ?? [] {
            byName[thing.name] = Dictionary(
                (thing.value.object?.members ?? []).map { ($0.name, $0.value.string ?? "") },
                uniquingKeysWith: { first, _ in first })
        }
    }

    /// Without what is a machine's own.
    func withoutLocal(_ part: FileChangePart) -> FileChangeThings {
        var rest = FileChangeThings()
        rest.byName = byName.filter { !part.isLocal($0.key) }
        return rest
    }
}

/// What became of one thing.
struct FileChange: Sendable, Equatable {
    enum Verb: String, Sendable {
        case added, changed, removed
    }

    struct Member: Sendable, Equatable {
        let name: String
        /// `nil` where it was not there, or is not there any more.
        let from: String?
        let to: String?

        var words: String {
            func shown(_ text: String?) -> String { text.map(FileChangeVeil.shown) ?? "none" }
            guard from.map(FileChangeVeil.shown) != to.map(FileChangeVeil.shown) else {
                return "\(name): another one"
            }
            // A thing that is but one value has no name for it.
            return (name.isEmpty ? "" : "\(name): ") + "\(shown(from)) -> \(shown(to))"
        }
    }

    /// Members of one change that are told one by one.
    static let membersMax = 20

    let name: String
    let verb: Verb
    let members: [Member]
    /// The file that it stands in, where things of one part may stand in several.
    var file: String?
    /// Whether it is so on one replica, and on others as it was.
    var isOfOneReplica = false

    static let oneReplica = "on this replica alone: "

    var ofOneReplica: FileChange {
        var change = self
        change.isOfOneReplica = true
        return change
    }

    /// What differs, by name.
    static func between(_ old: FileChangeThings, _ new: FileChangeThings) -> [FileChange] {
        Set(old.byName.keys).union(new.byName.keys).sorted().compactMap { name in
            let (before, after) = (old.byName[name], new.byName[name])
            guard before != after else { return nil }
            let names = Set(before?.keys.map(\.self) ?? []).union(after?.keys.map(\.self) ?? []).sorted()
            let members = names.compactMap { member -> Member? in
                let (from, to) = (before?[member], after?[member])
                return from == to ? nil : Member(name: member, from: from, to: to)
            }
            return FileChange(
                name: name, verb: before == nil ? .added : after == nil ? .removed : .changed, members: members,
                file: (after ?? before)?["file"])
        }
    }

    /// What changed, in one line.
    var summary: String {
        let head = isOfOneReplica ? Self.oneReplica : ""
        guard verb == .changed else { return head + verb.rawValue }
        let rest = members.count > 5 ? " and \(members.count - 5) more" : ""
        return head + members.prefix(5).map(\.words).joined(separator: "; ") + rest
    }

    /// The data of its event.
    func data(_ part: FileChangePart, file: String) -> JSONObject {
        var object = JSONObject([
            .init(name: "name", value: .string(name)), .init(name: "change", value: .string(verb.rawValue)),
            .init(name: "summary", value: .string(summary)),
        ])
        if part == .model || part == .price { object.append("model", .string(name)) }
        if part == .provider { object.append("provider", .string(name)) }
        if !file.isEmpty { object.append("file", .string(file)) }
        if verb == .changed {
            let told: [JSONValue] = members.prefix(Self.membersMax).map {
                [
                    "member": .string($0.name), "from": .of($0.from.map(FileChangeVeil.shown)),
                    "to": .of($0.to.map(FileChangeVeil.shown)),
                ]
            }
            object.append("members", .array(told))
        }
        return object
    }
}
