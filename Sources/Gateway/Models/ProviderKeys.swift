import Kernel

/// Where a provider's key is to be read from. It is read by who sends; here it is only named.
enum KeySource: Sendable, Hashable {
    /// A path as the settings give it; see ``path(_:besides:)``.
    case file(String)
    /// The name of a variable of the process.
    case environment(String)
    /// A secret that Reeve keeps.
    case kept(SecretPath)

    static let names = ["apiKeyFile", "apiKeyEnvironment", "apiKeySecret"]

    var isKept: Bool {
        if case .kept = self { true } else { false }
    }

    /// The path of a key file: relative ones begin at the folder of the settings file, as people write them beside it.
    static func path(_ path: String, besides settingsFile: String) -> String {
        guard !path.hasPrefix("/"), let slash = settingsFile.lastIndex(of: "/") else { return path }
        return settingsFile[...slash] + path
    }

    /// From `apiKeyFile`, `apiKeyEnvironment` or `apiKeySecret`; `nil` where none is given.
    init?(_ fields: Fields) throws {
        let given = Self.names.filter { fields.value($0) != nil }
        guard given.count <= 1 else {
            throw Problem.invalid(
                fields.path(given.last ?? ""), "only one of \(Self.names.joined(separator: ", ")) is allowed")
        }
        if let file = try fields.optionalString("apiKeyFile", max: GatewayLimits.pathCharacters) {
            guard !file.isEmpty, !file.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
            else { throw Problem.invalid(fields.path("apiKeyFile"), "a path is expected") }
            self = .file(file)
        } else if let variable = try fields.optionalString("apiKeyEnvironment", max: GatewayLimits.nameCharacters) {
            guard Self.isVariable(variable) else {
                throw Problem.invalid(
                    fields.path("apiKeyEnvironment"), "the name of a variable such as OPENAI_API_KEY is expected",
                    hint: "The key itself does not belong in the settings.")
            }
            self = .environment(variable)
        } else if let secret = try fields.optionalString("apiKeySecret", max: GatewayLimits.pathCharacters) {
            guard let reference = SecretReference(secret) else {
                throw Problem.invalid(
                    fields.path("apiKeySecret"), "a kept secret such as secret://platform/openai is expected",
                    hint: "Keep the key with `reeve secrets set platform/openai`, and name it here.")
            }
            self = .kept(reference.path)
        } else {
            return nil
        }
    }

    private static func isVariable(_ text: String) -> Bool {
        text.utf8.first.map { !(48...57).contains($0) } == true
            && text.utf8.allSatisfy { byte in
                byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte)
                    || (97...122).contains(byte)
            }
    }
}

/// The kept keys of all users, or of all projects: `secret://user/{user}/openai`.
struct KeyPattern: Sendable, Equatable {
    /// The name under which it stands among those of users and projects.
    static let everyone = "*"

    private let parts: [String]

    /// - Parameter word: What stands in braces for the name, such as `user`. `nil` where it is not exactly the owner of
    ///   such a path: a secret of everyone's own that is one for all would be a mistake.
    init?(_ text: String, word: String) {
        parts = text.split(separator: "{\(word)}", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts[0] == "\(SecretReference.scheme)\(word)/", parts[1].hasPrefix("/"),
            SecretReference(parts.joined(separator: "name")) != nil
        else { return nil }
    }

    /// `nil` for a name that stands in no path.
    func source(for name: String) -> KeySource? {
        guard SecretPath.isPart(name) else { return nil }
        return SecretReference(parts.joined(separator: name)).map { .kept($0.path) }
    }
}

/// The keys of one provider: the platform's, and those that organisations, projects and users brought.
struct ProviderKeys: Sendable, Equatable {
    enum Policy: String, Sendable, CaseIterable {
        /// The user's key, else the project's, else the organisation's, else the platform's.
        case fallback
        /// The user's key or none.
        case strictUser = "strict_user"
    }

    /// Why a key is passed over for the next one.
    enum Lapse: String, Sendable, CaseIterable {
        /// There is none.
        case absent
        /// It was deleted, or its provider refuses it.
        case expired
        /// Its provider says that its account has nothing left.
        case quota
    }

    enum Level: String, Sendable {
        case user, project, organisation, platform, none

        /// Whether others than who runs Reeve brought the key, and so pay for it.
        var isBrought: Bool { self == .user || self == .project || self == .organisation }
    }

    /// A key that a call may go out with.
    struct Candidate: Sendable, Equatable {
        let level: Level
        let source: KeySource
        /// Whose key it is; `nil` for the platform's.
        var owner: String?

        /// For people: `user:ann`.
        var whose: String { owner.map { "\(level.rawValue):\($0)" } ?? level.rawValue }

        /// The same with the secret that it is kept as.
        var words: String {
            guard case .kept(let path) = source else { return whose }
            return "\(whose) (\(SecretReference(path: path)))"
        }
    }

    /// Whose key a call goes out with; for the audit, which never sees the key.
    struct Resolution: Sendable, Equatable {
        typealias Level = ProviderKeys.Level

        let level: Level
        let source: KeySource?
        /// The user, project or organisation whose key it is.
        var owner: String?
        /// The version of a kept key.
        var version: Int?
        /// Whether the caller had to bring a key and has none.
        var isRefused = false

        /// For records: `user:ann`, `platform`, `user:ann (secret://user/ann/openai, version 3)`.
        var words: String {
            guard !isRefused else { return "refused" }
            let whose = owner.map { "\(level.rawValue):\($0)" } ?? level.rawValue
            guard case .kept(let path)? = source else { return whose }
            return "\(whose) (\(SecretReference(path: path))\(version.map { ", version \($0)" } ?? ""))"
        }

        init(level: Level, source: KeySource?, isRefused: Bool = false) {
            (self.level, self.source, self.isRefused) = (level, source, isRefused)
        }

        init(_ candidate: Candidate, version: Int? = nil) {
            self.init(level: candidate.level, source: candidate.source)
            (owner, self.version) = (candidate.owner, version)
        }
    }

    var platform: KeySource?
    var organisations: [String: KeySource] = [:]
    /// The organisation of a user.
    var memberships: [String: String] = [:]
    var projects: [String: KeySource] = [:]
    var projectPattern: KeyPattern?
    var users: [String: KeySource] = [:]
    var userPattern: KeyPattern?
    var policy = Policy.fallback
    var fallbackOn: Set<Lapse> = [.absent]

    /// Everything that has to be read before it is asked for.
    var sources: [KeySource] {
        ([platform].compactMap(\.self) + organisations.values + projects.values + users.values).filter { !$0.isKept }
    }

    /// Whether there is nothing to resolve: only the platform's key, from a file or a variable, or none.
    var isPlain: Bool {
        users.isEmpty && organisations.isEmpty && projects.isEmpty && userPattern == nil && projectPattern == nil
            && policy == .fallback && platform?.isKept != true
    }

    /// Whether it matters which project the caller belongs to.
    var asksForProject: Bool { policy == .fallback && (!projects.isEmpty || projectPattern != nil) }

    /// The keys that may be used, the nearest first.
    ///
    /// - Parameter names: Those of the caller, an agent's before that of its key.
    func candidates(users names: [String], project: String?, organisation: String? = nil) -> [Candidate] {
        var found = names.compactMap { name in
            (users[name] ?? userPattern?.source(for: name)).map { Candidate(level: .user, source: $0, owner: name) }
        }
        guard policy == .fallback else { return found }
        if let project, let source = projects[project] ?? projectPattern?.source(for: project) {
            found.append(Candidate(level: .project, source: source, owner: project))
        }
        if let organisation = organisation ?? names.lazy.compactMap({ memberships[$0] }).first,
            let source = organisations[organisation]
        {
            found.append(Candidate(level: .organisation, source: source, owner: organisation))
        }
        if let platform { found.append(Candidate(level: .platform, source: platform)) }
        return found
    }

    /// The nearest key as the settings have it, for a caller of these names.
    func resolve(users names: [String]) -> Resolution {
        if let nearest = candidates(users: names, project: nil).first { return Resolution(nearest) }
        return Resolution(level: .none, source: nil, isRefused: policy == .strictUser)
    }

    init(platform: KeySource? = nil) {
        self.platform = platform
    }

    /// From `apiKeyFile` and the like, `keyPolicy`, `keyFallbackOn` and
    /// `keys: {users: {NAME: {apiKeyFile}}, projects: {…}, organisations: {…}}` of a provider.
    init(_ fields: Fields) throws {
        platform = try KeySource(fields)
        policy = try fields.optionalChoice("keyPolicy", Policy.self) ?? .fallback
        fallbackOn = try Self.lapses(fields, policy)
        guard let keys = try fields.optionalFields("keys") else { return }
        try keys.refuseOthers(than: ["users", "projects", "organisations"])
        (users, userPattern) = try Self.owners(keys, "users", word: "user")
        (projects, projectPattern) = try Self.owners(keys, "projects", word: "project")
        organisations = try Self.owners(keys, "organisations", and: ["members"]).sources
        try readMembers(keys)
    }

    private static func lapses(_ fields: Fields, _ policy: Policy) throws -> Set<Lapse> {
        guard let items = try fields.optionalArray("keyFallbackOn", max: Lapse.allCases.count) else { return [.absent] }
        let path = fields.path("keyFallbackOn")
        guard policy == .fallback else {
            throw Problem.invalid(path, "with strict_user there is nothing to fall back on")
        }
        let lapses = items.compactMap { $0.string.flatMap(Lapse.init) }
        guard lapses.count == items.count, lapses.contains(.absent) else {
            throw Problem.invalid(
                path, "a list of absent, expired and quota is expected, absent among them",
                hint: "Where no other key is to be used in any case, say keyPolicy: strict_user.")
        }
        return Set(lapses)
    }

    /// Who belongs to an organisation: names of agents and of keys.
    private mutating func readMembers(_ keys: Fields) throws {
        guard let owners = try keys.optionalFields("organisations") else { return }
        for member in owners.object.members {
            guard let entry = member.value.object else { continue }
            let fields = Fields(entry, limits: Limits(), path: owners.path(member.name))
            let names = try fields.optionalArray("members", max: GatewayLimits.keysPerProvider) ?? []
            for (index, name) in names.enumerated() {
                let path = "\(fields.path("members"))/\(index)"
                guard let name = name.string, !name.isEmpty else {
                    throw Problem.invalid(path, "the name of an agent or of a key is expected")
                }
                guard memberships.updateValue(member.name, forKey: name) == nil else {
                    throw Problem.invalid(path, "\"\(name)\" is the member of another organisation already")
                }
            }
        }
    }

    /// - Parameter word: What stands for the name in the pattern of all others; `nil` where there may be none.
    private static func owners(
        _ keys: Fields, _ name: String, word: String? = nil, and others: [String] = []
    ) throws -> (sources: [String: KeySource], pattern: KeyPattern?) {
        guard let owners = try keys.optionalFields(name) else { return ([:], nil) }
        guard owners.object.count <= GatewayLimits.keysPerProvider else {
            throw Problem.invalid(keys.path(name), "at most \(GatewayLimits.keysPerProvider) are allowed")
        }
        var sources: [String: KeySource] = [:]
        var pattern: KeyPattern?
        for member in owners.object.members {
            let path = owners.path(member.name)
            guard let object = member.value.object else {
                throw Problem.invalid(path, "an object is expected, not \(member.value.typeName)")
            }
            let entry = Fields(object, limits: Limits(), path: path)
            if let word, member.name == KeyPattern.everyone {
                pattern = try Self.pattern(entry, word)
                continue
            }
            try entry.refuseOthers(than: KeySource.names + others)
            guard let source = try KeySource(entry) else {
                throw Problem.invalid(path, "\(KeySource.names.joined(separator: ", ")): one of them is missing")
            }
            guard sources.updateValue(source, forKey: member.name) == nil else {
                throw Problem.invalid(path, "it stands twice")
            }
        }
        return (sources, pattern)
    }

    private static func pattern(_ entry: Fields, _ word: String) throws -> KeyPattern {
        try entry.refuseOthers(than: ["apiKeySecret"])
        let text = try entry.string("apiKeySecret", max: GatewayLimits.pathCharacters)
        guard let pattern = KeyPattern(text, word: word) else {
            throw Problem.invalid(
                entry.path("apiKeySecret"), "for everyone, secret://\(word)/{\(word)}/<name> is expected",
                hint: "The name in braces stands for each one's own.")
        }
        return pattern
    }
}
