import Kernel

/// Where a provider's key is to be read from. Files are read by who sends; here they are only named.
enum KeySource: Sendable, Hashable {
    /// A path as the settings give it; see ``path(_:besides:)``.
    case file(String)
    /// The name of a variable of the process.
    case environment(String)

    /// The path of a key file: relative ones begin at the folder of the settings file, as people write them beside it.
    static func path(_ path: String, besides settingsFile: String) -> String {
        guard !path.hasPrefix("/"), let slash = settingsFile.lastIndex(of: "/") else { return path }
        return settingsFile[...slash] + path
    }

    /// From `apiKeyFile` or `apiKeyEnvironment`; `nil` where neither is given.
    init?(_ fields: Fields) throws {
        let file = try fields.optionalString("apiKeyFile", max: GatewayLimits.pathCharacters)
        let variable = try fields.optionalString("apiKeyEnvironment", max: GatewayLimits.nameCharacters)
        switch (file, variable) {
        case (nil, nil): return nil
        case (_?, _?):
            throw Problem.invalid(
                fields.path("apiKeyEnvironment"), "only one of apiKeyFile and apiKeyEnvironment is allowed")
        case (let file?, nil):
            guard !file.isEmpty, !file.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
            else { throw Problem.invalid(fields.path("apiKeyFile"), "a path is expected") }
            self = .file(file)
        case (nil, let variable?):
            let isName =
                variable.utf8.first.map { !(48...57).contains($0) } == true
                && variable.utf8.allSatisfy { byte in
                    byte == UInt8(ascii: "_") || (48...57).contains(byte) || (65...90).contains(byte)
                        || (97...122).contains(byte)
                }
            guard isName else {
                throw Problem.invalid(
                    fields.path("apiKeyEnvironment"), "the name of a variable such as OPENAI_API_KEY is expected",
                    hint: "The key itself does not belong in the settings.")
            }
            self = .environment(variable)
        }
    }
}

/// The keys of one provider: the platform's, and those that organisations and users brought.
struct ProviderKeys: Sendable, Equatable {
    enum Policy: String, Sendable, CaseIterable {
        /// The user's key, else the organisation's, else the platform's.
        case fallback
        /// The user's key or none.
        case strictUser = "strict_user"
    }

    /// Whose key a call goes out with; for the audit, which never sees the key.
    struct Resolution: Sendable, Equatable {
        enum Level: String, Sendable {
            case user, organisation, platform, none
        }

        let level: Level
        let source: KeySource?
        /// The user or organisation whose key it is.
        var owner: String?
        /// Whether the caller had to bring a key and has none.
        var isRefused = false

        /// For records: `user:ann`, `platform`.
        var words: String { isRefused ? "refused" : owner.map { "\(level.rawValue):\($0)" } ?? level.rawValue }
    }

    var platform: KeySource?
    var organisations: [String: KeySource] = [:]
    /// The organisation of a user.
    var memberships: [String: String] = [:]
    var users: [String: KeySource] = [:]
    var policy = Policy.fallback

    /// Everything that has to be read.
    var sources: [KeySource] { [platform].compactMap(\.self) + organisations.values + users.values }

    func resolve(user: String?, organisation: String?) -> Resolution {
        if let user, let source = users[user] { return Resolution(level: .user, source: source) }
        guard policy == .fallback else { return Resolution(level: .none, source: nil) }
        if let organisation, let source = organisations[organisation] {
            return Resolution(level: .organisation, source: source)
        }
        return Resolution(level: platform == nil ? .none : .platform, source: platform)
    }

    /// For a caller of these names, an agent's before that of its key.
    func resolve(users names: [String]) -> Resolution {
        let user = names.first { users[$0] != nil }
        let organisation = names.lazy.compactMap { memberships[$0] }.first
        var resolution = resolve(user: user, organisation: organisation)
        switch resolution.level {
        case .user: resolution.owner = user
        case .organisation: resolution.owner = organisation
        case .platform: break
        case .none: resolution.isRefused = policy == .strictUser
        }
        return resolution
    }

    init(platform: KeySource? = nil) {
        self.platform = platform
    }

    /// From `apiKeyFile`, `keyPolicy` and `keys: {users: {NAME: {apiKeyFile}}, organisations: {…}}` of a provider.
    init(_ fields: Fields) throws {
        platform = try KeySource(fields)
        policy = try fields.optionalChoice("keyPolicy", Policy.self) ?? .fallback
        guard let keys = try fields.optionalFields("keys") else { return }
        try keys.refuseOthers(than: ["users", "organisations"])
        users = try Self.owners(keys, "users", takes: ["apiKeyFile", "apiKeyEnvironment"])
        organisations = try Self.owners(keys, "organisations", takes: ["apiKeyFile", "apiKeyEnvironment", "members"])
        try readMembers(keys)
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

    private static func owners(_ keys: Fields, _ name: String, takes members: [String]) throws -> [String: KeySource] {
        guard let owners = try keys.optionalFields(name) else { return [:] }
        guard owners.object.count <= GatewayLimits.keysPerProvider else {
            throw Problem.invalid(keys.path(name), "at most \(GatewayLimits.keysPerProvider) are allowed")
        }
        var sources: [String: KeySource] = [:]
        for member in owners.object.members {
            let path = owners.path(member.name)
            guard let object = member.value.object else {
                throw Problem.invalid(path, "an object is expected, not \(member.value.typeName)")
            }
            let entry = Fields(object, limits: Limits(), path: path)
            try entry.refuseOthers(than: members)
            guard let source = try KeySource(entry) else {
                throw Problem.invalid(path, "apiKeyFile or apiKeyEnvironment is missing")
            }
            guard sources.updateValue(source, forKey: member.name) == nil else {
                throw Problem.invalid(path, "it stands twice")
            }
        }
        return sources
    }
}
