import Kernel

/// What may be known of secrets without their values, and by whom they may be read.
extension SecretService {
    /// A secret and what belongs to it, without values.
    struct SecretDescription: Sendable {
        let secret: KeptSecret
        let versions: [SecretVersion]
        let holders: [SecretHolder]
        let rotation: SecretRotation?
    }

    /// A secret and its versions, without values.
    func describe(
        _ path: SecretPath, by principal: Principal
    ) async throws -> SecretDescription {
        let now = world.now
        return try await storage.read { transaction in
            guard try maySee(path, principal, in: transaction) else { throw Self.refused(path) }
            guard let secret = try store.find(path, in: transaction) else {
                throw Problem.notFound("secret", path.description)
            }
            let versions = try store.versions(of: path, in: transaction)
            return SecretDescription(
                secret: secret, versions: versions.filter { $0.number <= secret.version || $0.isDestroyed },
                holders: try store.holders(of: path, at: now, limit: KeptSecret.holdersMax, in: transaction),
                rotation: try rotations.open(path, in: transaction)?.rotation)
        }
    }

    /// What may be said of a secret beside its values. What is `nil` stays.
    struct Terms: Sendable {
        var versionsMax: Int?
        var isCASRequired: Bool?
        var custom: JSONObject?
        /// Whether ``custom`` is merged into what there is.
        var isPatch = false
    }

    func set(_ terms: Terms, of path: SecretPath, by principal: Principal) async throws {
        let now = world.now
        try await storage.write { transaction in
            let found = try store.find(path, in: transaction)
            guard found != nil || !terms.isPatch else { throw Problem.notFound("secret", path.description) }
            guard try found != nil || store.count(in: transaction) < Int64(KeptSecret.secretsMax) else {
                throw Problem(.conflict, "There are \(KeptSecret.secretsMax) secrets; more are not kept.")
            }
            var secret = found ?? KeptSecret(path: path, at: now)
            secret.versionsMax = terms.versionsMax ?? secret.versionsMax
            secret.isCASRequired = terms.isCASRequired ?? secret.isCASRequired
            if let custom = terms.custom {
                secret.custom = terms.isPatch ? Self.merged(secret.custom, custom) : custom
            }
            guard secret.custom.count <= KeptSecret.customMax else {
                throw Problem.invalid("custom_metadata", "at most \(KeptSecret.customMax) members are allowed")
            }
            secret.updatedAt = now
            try store.put(secret, in: transaction)
            // What is on its way out stays until its rotation is over.
            let oldest = try rotations.open(path, in: transaction)?.rotation.oldVersion ?? secret.version
            try store.prune(
                path, through: min(oldest - 1, secret.version - secret.versionsMax), in: transaction)
            try record("secret.described", path, [:], by: principal, in: transaction)
        }
    }

    /// One more than the page's limit where there are more.
    func list(
        scope: SecretPath.Scope?, owner: String?, page: Page, by principal: Principal
    ) async throws -> [SecretView] {
        let agent = principal.role == .agent ? principal.agent ?? "" : nil
        let now = world.now
        return try await storage.read { transaction in
            try store.list(
                scope: scope?.rawValue, owner: owner, agent: agent, after: page.after ?? "", limit: page.limit + 1,
                in: transaction
            ).map { secret in
                // An agent learns of itself alone.
                let holders = try store.holders(
                    of: secret.path, at: now, limit: KeptSecret.holdersMax, in: transaction)
                return SecretView(
                    secret: secret, holders: holders.filter { agent == nil || $0.agent == agent },
                    rotation: try rotations.open(secret.path, in: transaction)?.rotation, now: now)
            }
        }
    }

    /// What stands right below a folder: names of secrets, and of folders with a `/` behind them.
    func names(below folder: String, by principal: Principal) async throws -> [String] {
        let prefix = folder.isEmpty || folder.hasSuffix("/") ? folder : folder + "/"
        let agent = principal.role == .agent ? principal.agent ?? "" : nil
        let paths = try await storage.read {
            try store.paths(below: prefix, agent: agent, limit: Self.namesMax, in: $0)
        }
        var names: [String] = []
        for path in paths {
            let rest = path.dropFirst(prefix.count)
            let name = rest.firstIndex(of: "/").map { String(rest[...$0]) } ?? String(rest)
            if names.last != name { names.append(name) }
        }
        return names
    }

    // MARK: grants

    func grants(of path: SecretPath) async throws -> [String] {
        try await storage.read { transaction in
            guard try store.find(path, in: transaction) != nil else {
                throw Problem.notFound("secret", path.description)
            }
            return try store.grants(of: path, in: transaction)
        }
    }

    /// Lets these agents read a secret, and no others.
    func grant(_ path: SecretPath, to agents: [String], by principal: Principal) async throws -> [String] {
        try await storage.write { transaction in
            guard try store.find(path, in: transaction) != nil else {
                throw Problem.notFound("secret", path.description)
            }
            return try setGrants(
                of: path, from: store.grants(of: path, in: transaction), to: agents.sorted(), by: principal,
                in: transaction)
        }
    }

    func setGrants(
        of path: SecretPath, from before: [String], to after: [String], by principal: Principal,
        in transaction: Transaction
    ) throws -> [String] {
        guard before != after else { return after }
        try store.setGrants(of: path, to: after, at: world.now, by: principal.actor, in: transaction)
        try record("secret.granted", path, ["from": .list(before), "to": .list(after)], by: principal, in: transaction)
        return after
    }
}
