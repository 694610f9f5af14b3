import Kernel

/// Rotates secrets: keeps the new value, has it proven, gives it out beside the old one, and lets the old one go when
/// nobody uses it any more.
///
/// Each step is one transaction with its event and its row of the audit: a process that is killed leaves a whole step
/// behind or none, and ``SecretRotationLoops`` goes on from there.
public struct SecretRotationService: Sendable {
    /// What it asks beyond secrets themselves.
    public struct Ground: Sendable {
        let users: any SecretUsers
        /// Since when something of each agent runs, as far as this process hears of it.
        let sessions: @Sendable () -> [String: Timestamp]
        let window: any DeploymentWindow
        let prober: any SecretProber
        let alerts: AlertService
        /// Whose process it is: what others hear of, they tell by the store.
        let replica: String
        /// Where links to Reeve's pages begin.
        let externalURL: @Sendable () -> String

        public init(
            users: any SecretUsers, sessions: @escaping @Sendable () -> [String: Timestamp] = { [:] },
            window: any DeploymentWindow = DeploymentWindows(), prober: any SecretProber, alerts: AlertService,
            replica: String = "replica", externalURL: @escaping @Sendable () -> String = { "" }
        ) {
            (self.users, self.sessions, self.window) = (users, sessions, window)
            (self.prober, self.alerts, self.replica) = (prober, alerts, replica)
            self.externalURL = externalURL
        }
    }

    /// Readers of an old value that are looked at, those that read it last.
    static let readersMax = 5_000
    /// Of those, how many an answer shows.
    static let usersShownMax = 100
    /// Tasks that are looked at for whether they hold an old value.
    static let tasksMax = 10_000
    /// How old a value may be allowed to get at most, in days.
    static let rotateEveryDaysMax: Int64 = 3_650
    /// Characters of a reason.
    static let reasonMax = 1_000
    /// How long the alert stands that tells of a compromised value.
    static let compromiseStanding = Span.hours(24)

    let secrets: SecretService
    let ground: Ground
    public let meters: SecretMeters
    let told = SecretSessionStore()
    var rotations: SecretRotationStore { secrets.rotations }
    private var store: SecretStore { secrets.store }
    private var storage: any Storage { secrets.storage }
    var world: World { secrets.world }

    public init(secrets: SecretService, ground: Ground) {
        (self.secrets, self.ground) = (secrets, ground)
        meters = SecretMeters(watch: secrets.watch)
    }

    // MARK: looking

    /// How far it is.
    func view(_ path: SecretPath) async throws -> SecretRotationView {
        let live = ground.sessions()
        return try await storage.read { try view(path, live, in: $0) }
    }

    private func view(
        _ path: SecretPath, _ live: [String: Timestamp], in transaction: Transaction
    ) throws -> SecretRotationView {
        let secret = try find(path, in: transaction)
        let kept = try rotations.latest(path, in: transaction)
        let now = world.now
        guard let kept, !kept.rotation.state.isOver else {
            return SecretRotationView(secret: secret, kept: kept, users: [], waitsFor: [], now: now)
        }
        let (use, users) = try use(of: kept, live, in: transaction)
        return SecretRotationView(
            secret: secret, kept: kept, users: Array(users.prefix(Self.usersShownMax)),
            waitsFor: kept.rotation.waitsFor(
                at: now, use: use, closed: try ground.window.closed(at: now, in: transaction)), now: now)
    }

    /// Says how old its value may get, and which call proves a new one; what is `nil` is as if nobody had said it.
    func set(
        rotateEvery: Span?, probe: SecretProbe?, of path: SecretPath, by principal: Principal
    ) async throws -> SecretRotationView {
        let live = ground.sessions()
        return try await storage.write { transaction in
            var secret = try find(path, in: transaction)
            guard secret.rotateEvery != rotateEvery || secret.probe != probe else {
                return try view(path, live, in: transaction)
            }
            (secret.rotateEvery, secret.probe, secret.updatedAt) = (rotateEvery, probe, world.now)
            try store.put(secret, in: transaction)
            let days = rotateEvery.map { $0.microseconds / Span.hours(24).microseconds }
            try secrets.record(
                "secret.described", path, ["rotateEveryDays": .of(days), "probe": .of(probe?.url)], by: principal,
                in: transaction)
            return try view(path, live, in: transaction)
        }
    }

    private func find(_ path: SecretPath, in transaction: Transaction) throws -> KeptSecret {
        guard let secret = try store.find(path, in: transaction) else {
            throw Problem.notFound("secret", path.description)
        }
        return secret
    }

    private func open(_ path: SecretPath, in transaction: Transaction) throws -> SecretRotationStore.Kept {
        guard let kept = try rotations.open(path, in: transaction) else {
            throw Problem(
                .conflict, "No rotation of \(path) is under way.",
                hint: "Begin one with POST /api/v1/secrets/\(path)/rotation.")
        }
        return kept
    }

    private func tell(
        _ what: String, _ kept: SecretRotationStore.Kept, _ more: [(String, JSONValue)] = [],
        by principal: Principal, in transaction: Transaction
    ) throws {
        var detail = JSONObject()
        detail["oldVersion"] = kept.rotation.oldVersion.json
        detail["newVersion"] = kept.rotation.newVersion.json
        for (name, value) in more { detail[name] = value }
        try secrets.record("secret.\(what)", kept.path, .object(detail), by: principal, in: transaction)
    }

    // MARK: the new value

    /// Keeps a new value that nobody gets yet. The same value again changes nothing.
    func stage(
        _ path: SecretPath, _ data: JSONObject, overlap: Span?, by principal: Principal
    ) async throws -> SecretRotationView {
        let sealer = try secrets.sealing.sealer()
        let live = ground.sessions()
        let staged = try await storage.write { transaction in
            if let open = try rotations.open(path, in: transaction) {
                try refuseOther(data, than: open, with: sealer, in: transaction)
                return try view(path, live, in: transaction)
            }
            var secret = try find(path, in: transaction)
            guard let current = try store.version(secret.version, of: path, in: transaction)?.version,
                current.isReadable
            else {
                throw Problem(
                    .conflict, "\(path) has no value that could be rotated.",
                    hint: "Write one with PUT /api/v1/secrets/\(path).")
            }
            secret.lastVersion += 1
            secret.updatedAt = world.now
            let kept = SecretRotationStore.Kept(
                path: path,
                rotation: SecretRotation(
                    oldVersion: secret.version, newVersion: secret.lastVersion,
                    overlap: overlap ?? SecretRotation.overlapMin, at: world.now),
                stagedBy: principal.actor)
            try store.put(secret, in: transaction)
            _ = try secrets.keep(
                data, as: secret.lastVersion, of: path, by: principal, with: sealer, in: transaction)
            try rotations.put(kept, in: transaction)
            try rotations.prune(path, in: transaction)
            try tell("rotation_staged", kept, by: principal, in: transaction)
            return try view(path, live, in: transaction)
        }
        secrets.watch.add(SecretService.values(of: .object(data)).map { (path.description, $0) })
        return staged
    }

    private func refuseOther(
        _ data: JSONObject, than open: SecretRotationStore.Kept, with sealer: Sealer, in transaction: Transaction
    ) throws {
        let value = try opened(open, with: sealer, in: transaction)
        guard open.rotation.state == .staged, value == data else {
            throw Problem(
                .conflict,
                "\(open.path) is being rotated: version \(open.rotation.newVersion) is "
                    + "\(open.rotation.state.rawValue).",
                hint: "Wait for its end, or take it back with POST /api/v1/secrets/\(open.path)/rotation/return.")
        }
    }

    /// The new value, opened.
    private func opened(
        _ kept: SecretRotationStore.Kept, with sealer: Sealer, in transaction: Transaction
    ) throws -> JSONObject {
        let number = kept.rotation.newVersion
        guard let sealed = try store.version(number, of: kept.path, in: transaction)?.sealed else {
            throw Problem(
                .conflict, "Version \(number) of \(kept.path) was destroyed.", hint: "Return, and begin anew.")
        }
        let value = try sealer.open(sealed, SecretService.context(kept.path, number))
        return try SecretService.document(value, kept.path)
    }

    // MARK: verify

    /// How somebody says that a new value is good.
    enum Claim: Sendable {
        /// By this call, or by the one that is kept with the secret.
        case probe(SecretProbe?)
        case word(String)
    }

    /// Has the new value proven: by a call where one is known, else by the word of a person, with a reason.
    func verify(_ path: SecretPath, _ claim: Claim, by principal: Principal) async throws -> SecretRotationView {
        let sealer = try secrets.sealing.sealer()
        // The call holds the value, so it is written down before it is made; the value is opened only after that.
        let plan = try await storage.write { transaction -> (SecretProbe, SecretRotationStore.Kept, JSONObject)? in
            let kept = try open(path, in: transaction)
            var rehearsal = kept.rotation
            try rehearsal.verify(.word(of: principal.actor))
            guard let probe = try probe(claim, of: path, in: transaction) else { return nil }
            try secrets.audit.record(
                "secret.probed", by: principal, target: "secret:\(path)",
                detail: ["version": kept.rotation.newVersion.json, "url": .string(probe.url)], in: transaction)
            return (probe, kept, try opened(kept, with: sealer, in: transaction))
        }
        guard let (probe, kept, data) = plan else {
            return try await verified(path, nil, .word(of: principal.actor), claim, by: principal)
        }
        let call = try probe.call(with: data)
        switch await ground.prober.call(call, timeout: SecretProbe.timeout) {
        case .success(let status) where probe.accepts(status):
            return try await verified(
                path, kept.rotation.newVersion, .probe("HTTP \(status) from \(probe.url)"), claim, by: principal)
        case .success(let status): throw try await failed(kept, "it answered \(status)", by: principal)
        case .failure(let fault): throw try await failed(kept, fault.reason, by: principal)
        }
    }

    /// The call to make; `nil` where a person's word counts.
    private func probe(_ claim: Claim, of path: SecretPath, in transaction: Transaction) throws -> SecretProbe? {
        let known = try find(path, in: transaction).probe
        switch claim {
        case .probe(let given):
            guard let probe = given ?? known else {
                throw Problem.invalid(
                    "reason", "it is missing, and no probe is known for \(path)",
                    hint: "Give a probe {url, headers}, or say why the new value is good.")
            }
            return probe
        case .word:
            guard known == nil else {
                throw Problem.invalid(
                    "reason", "a probe is known for \(path), so nobody's word is taken",
                    hint: "Send no reason, so that the call is made; or take the probe away with PUT "
                        + "/api/v1/secrets/\(path)/rotation.")
            }
            return nil
        }
    }

    private func verified(
        _ path: SecretPath, _ version: Int?, _ proof: SecretRotation.Proof, _ claim: Claim, by principal: Principal
    ) async throws -> SecretRotationView {
        let live = ground.sessions()
        return try await storage.write { transaction in
            var kept = try open(path, in: transaction)
            guard version == nil || version == kept.rotation.newVersion else {
                throw Problem(.conflict, "Another rotation of \(path) began meanwhile.", hint: "Look, and verify that.")
            }
            try kept.rotation.verify(proof)
            try rotations.put(kept, in: transaction)
            var more: [(String, JSONValue)] = [("proof", .string(proof.words.kind))]
            if case .word(let reason) = claim { more.append(("reason", .string(reason))) }
            try tell("rotation_verified", kept, more, by: principal, in: transaction)
            return try view(path, live, in: transaction)
        }
    }

    private func failed(
        _ kept: SecretRotationStore.Kept, _ reason: String, by principal: Principal
    ) async throws -> Problem {
        try await storage.write { transaction in
            try tell("probe_failed", kept, [("reason", .string(reason))], by: principal, in: transaction)
        }
        return Problem(
            .probeFailed, "The probe of version \(kept.rotation.newVersion) of \(kept.path) failed: \(reason).",
            hint: "Nobody gets the new value. See that it is good where it was made and that the probe asks for it in "
                + "the right way, then verify again; or return and stage another.")
    }

    // MARK: giving it out

    /// Gives the new value out; who has the old one keeps it.
    func issue(_ path: SecretPath, by principal: Principal) async throws -> SecretRotationView {
        let live = ground.sessions()
        return try await storage.write { transaction in
            var kept = try open(path, in: transaction)
            let now = world.now
            try kept.rotation.issue(at: now)
            if let reason = try ground.window.closed(at: now, in: transaction) {
                throw Problem(
                    .deploymentWindow, "\(path) was not issued: it waits for \(reason).",
                    hint: "Issue it then. A value that others know can be cut at any time: POST …/rotation/compromise.")
            }
            var secret = try find(path, in: transaction)
            give(kept.rotation.newVersion, of: &secret, writtenAt: now)
            try store.put(secret, in: transaction)
            try rotations.put(kept, in: transaction)
            try tell("rotation_issued", kept, by: principal, in: transaction)
            return try view(path, live, in: transaction)
        }
    }

    private func give(_ version: Int, of secret: inout KeptSecret, writtenAt: Timestamp?) {
        secret.version = version
        (secret.writtenAt, secret.updatedAt) = (writtenAt, world.now)
    }

    /// Takes a rotation as far as time and its users let it go, one step: for the loop.
    func advance(
        _ path: SecretPath, _ live: [String: Timestamp], by principal: Principal, in transaction: Transaction
    ) throws -> Bool {
        guard var kept = try rotations.open(path, in: transaction) else { return false }
        let now = world.now
        let (use, _) = try use(of: kept, live, in: transaction)
        let closed = try ground.window.closed(at: now, in: transaction)
        guard kept.rotation.step(at: now, use: use, isDeploying: closed != nil) else { return false }
        try rotations.put(kept, in: transaction)
        if kept.rotation.state == .retired {
            // Hidden, not destroyed: nobody asked for that, and a person may need to see what it was.
            _ = try store.setDeleted([kept.rotation.oldVersion], of: path, at: now, in: transaction)
        }
        try tell("rotation_\(kept.rotation.state.rawValue)", kept, by: principal, in: transaction)
        return true
    }

    /// Lets the old value go now, where nothing stands against it.
    func retire(_ path: SecretPath, by principal: Principal) async throws -> SecretRotationView {
        let live = ground.sessions()
        return try await storage.write { transaction in
            _ = try open(path, in: transaction)
            // Two steps where the overlap has just ended.
            while try advance(path, live, by: principal, in: transaction) {}
            let after = try view(path, live, in: transaction)
            guard after.kept?.rotation.state == .retired else {
                let waits = after.waitsFor.map(\.text)
                throw Problem(
                    .conflict,
                    "The old value of \(path) is still needed; it waits for "
                        + "\(waits.joined(separator: ", and ")).",
                    hint: "It goes by itself then. POST …/rotation/compromise cuts it, whoever uses it.",
                    members: JSONObject([.init(name: "waitsFor", value: .list(waits))]))
            }
            return after
        }
    }

    // MARK: the way back, and the cut

    /// Gives the old value out again; the new one is gone for good.
    func takeBack(_ path: SecretPath, _ reason: String?, by principal: Principal) async throws -> SecretRotationView {
        let live = ground.sessions()
        return try await storage.write { transaction in
            var kept = try open(path, in: transaction)
            try takeBack(&kept, in: transaction)
            try tell(
                "rotation_returned", kept, reason.map { [("reason", .string($0))] } ?? [], by: principal,
                in: transaction)
            return try view(path, live, in: transaction)
        }
    }

    private func takeBack(_ kept: inout SecretRotationStore.Kept, in transaction: Transaction) throws {
        try kept.rotation.returnToOld(at: world.now)
        var secret = try find(kept.path, in: transaction)
        let old = try store.version(kept.rotation.oldVersion, of: kept.path, in: transaction)?.version
        give(kept.rotation.oldVersion, of: &secret, writtenAt: old?.createdAt ?? secret.writtenAt)
        _ = try store.destroy([kept.rotation.newVersion], of: kept.path, in: transaction)
        try store.put(secret, in: transaction)
        try rotations.put(kept, in: transaction)
    }

    /// Cuts a version that others know: it is destroyed now, whoever uses it and whatever is being deployed. What is
    /// cut already stays so: the same again changes nothing.
    ///
    /// - Parameter data: The value that takes its place, where none is staged.
    func compromise(
        _ path: SecretPath, version number: Int, reason: String, data: JSONObject?, by principal: Principal
    ) async throws -> (view: SecretRotationView, holders: [SecretRotationStore.Reader]) {
        let sealer = try data.map { _ in try secrets.sealing.sealer() }
        let live = ground.sessions()
        let found = try await storage.write { transaction in
            let secret = try find(path, in: transaction)
            guard let version = try store.version(number, of: path, in: transaction)?.version else {
                throw Problem.notFound("version of \(path)", String(number))
            }
            let holders = try rotations.readers(
                of: number, before: secret.lastVersion, path, limit: Self.readersMax, in: transaction)
            if !version.isDestroyed {
                let next = try cut(number, of: secret, data, with: sealer, by: principal, in: transaction)
                try secrets.revokeLeases(of: path, version: number, by: principal, in: transaction)
                try tell(cut: number, of: path, next, reason, holders, by: principal, in: transaction)
            }
            return (try view(path, live, in: transaction), holders)
        }
        if let data { secrets.watch.add(SecretService.values(of: .object(data)).map { (path.description, $0) }) }
        return found
    }

    /// The version that is given out afterwards; `nil` where there is none.
    private func cut(
        _ number: Int, of secret: KeptSecret, _ data: JSONObject?, with sealer: Sealer?, by principal: Principal,
        in transaction: Transaction
    ) throws -> Int? {
        let path = secret.path
        if var kept = try rotations.open(path, in: transaction),
            [kept.rotation.oldVersion, kept.rotation.newVersion].contains(number)
        {
            guard data == nil else {
                throw Problem(
                    .conflict, "\(path) is being rotated, so another value has no place.",
                    hint: "Leave data out: the other one of the two is given out. Or return first.")
            }
            if number == kept.rotation.newVersion {
                try takeBack(&kept, in: transaction)
                return kept.rotation.oldVersion
            }
            var secret = secret
            try kept.rotation.compromise(at: world.now)
            give(kept.rotation.newVersion, of: &secret, writtenAt: world.now)
            _ = try store.destroy([number], of: path, in: transaction)
            try store.put(secret, in: transaction)
            try rotations.put(kept, in: transaction)
            return kept.rotation.newVersion
        }
        _ = try store.destroy([number], of: path, in: transaction)
        guard number == secret.version else { return secret.version }
        guard let data, let sealer else { return nil }
        var secret = secret
        secret.lastVersion += 1
        var rotation = SecretRotation(oldVersion: number, newVersion: secret.lastVersion, at: world.now)
        try rotation.compromise(at: world.now)
        give(secret.lastVersion, of: &secret, writtenAt: world.now)
        try store.put(secret, in: transaction)
        _ = try secrets.keep(data, as: secret.lastVersion, of: path, by: principal, with: sealer, in: transaction)
        let kept = SecretRotationStore.Kept(path: path, rotation: rotation, stagedBy: principal.actor)
        try rotations.put(kept, in: transaction)
        try rotations.prune(path, in: transaction)
        return secret.lastVersion
    }
}
