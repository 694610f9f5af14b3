import Kernel
import Synchronization

/// The rules of bundles: what is pushed is kept for good under the name that its content gives it, and an agent is to
/// run with one of them at a time.
public struct BundleService: Sendable {
    /// Versions of one agent.
    public static let versionsMax: Int64 = 10_000
    public static let messageCharactersMax = 2_000
    /// Digits by which a version may be named.
    public static let shortestName = 6

    let store = BundleStore()
    private let trials = BundleTrialBook()
    let agents: AgentService
    let lint: BundleLint
    let blobs: any Blobs
    private let memory = BundleMemory()
    private let events: Events
    private let audit: AuditService
    private let world: World

    public init(
        agents: AgentService, lint: BundleLint, blobs: any Blobs, events: Events, audit: AuditService, world: World
    ) {
        self.agents = agents
        self.lint = lint
        self.blobs = blobs
        self.events = events
        self.audit = audit
        self.world = world
    }

    /// What other owners of blobs ask before they remove one.
    public var blobUse: any BlobUse { store }

    // MARK: Changing

    /// Throws `bundle_refused` with all findings where there are any.
    public func check(_ bundle: AgentBundle) throws {
        let findings = lint.findings(bundle)
        guard findings.isEmpty else { throw BundleFinding.problem(findings) }
    }

    /// Keeps the contents, before the transaction that refers to them.
    func keep(_ bundle: AgentBundle) async throws -> [(path: String, sha256: String, bytes: Int)] {
        var kept: [(path: String, sha256: String, bytes: Int)] = []
        for file in bundle.files {
            let bytes = Array(file.content.utf8)
            kept.append((file.path, try await blobs.put(bytes), bytes.count))
        }
        return kept
    }

    /// Makes a bundle what the agent is to run with. The same content again is the same version, and says so.
    func push(
        _ bundle: AgentBundle, files: [(path: String, sha256: String, bytes: Int)], to agent: String, message: String,
        by principal: Principal, in transaction: Transaction
    ) throws -> (version: BundleVersion, isNew: Bool) {
        let previous = try agents.agent(named: agent, in: transaction)?.configDesired
        let (version, isNew) = try add(
            bundle, files: files, to: agent, message: message, by: principal, in: transaction)
        if previous != version.version {
            try want(version, instead: previous, .push, message: message, by: principal, in: transaction)
        }
        return (version, isNew)
    }

    /// Makes a bundle a version of the agent, which goes on with what it has.
    func add(
        _ bundle: AgentBundle, files: [(path: String, sha256: String, bytes: Int)], to agent: String, message: String,
        by principal: Principal, in transaction: Transaction
    ) throws -> (version: BundleVersion, isNew: Bool) {
        guard files.allSatisfy({ blobs.contains($0.sha256) }) else {
            throw Problem(
                .overloaded, "A file's content was removed with the last that had it, at this very moment.",
                hint: "Send it again.", retryAfterSeconds: 1)
        }
        let previous = try agents.agent(named: agent, in: transaction)?.configDesired
        if let known = try store.version(bundle.version, of: agent, in: transaction) {
            return (known, false)
        }
        let count = try store.versionCount(of: agent, in: transaction)
        guard count < Self.versionsMax else {
            throw Problem(
                .conflict, "The agent \"\(agent)\" has \(count) versions of its configuration, and takes no more.",
                hint: "Register the agent under another name.")
        }
        let version = BundleVersion(
            agent: agent, version: bundle.version, number: count + 1, parent: previous, author: principal.actor,
            message: message, files: Int64(files.count), bytes: Int64(files.reduce(0) { $0 + $1.bytes }),
            createdAt: world.now)
        try store.insert(version, in: transaction)
        try store.insert(files, of: bundle.version, in: transaction)
        return (version, true)
    }

    /// Makes an earlier version what the agent is to run with again. Where it is already, nothing changes.
    func rollback(
        _ agent: String, to name: String, message: String, by principal: Principal, in transaction: Transaction
    ) throws -> BundleChange {
        guard let known = try agents.agent(named: agent, in: transaction) else {
            throw Problem.notFound("agent", agent)
        }
        let version = try version(name, of: agent, in: transaction)
        let latest = try store.changes(of: agent, limit: 1, in: transaction).first
        if known.configDesired == version.version, let latest, latest.version == version.version { return latest }
        return try want(
            version, instead: known.configDesired, .rollback, message: message, by: principal, in: transaction)
    }

    /// Makes a version what its agent is to run with, and keeps who said so and why.
    @discardableResult
    func want(
        _ version: BundleVersion, instead previous: String?, _ kind: BundleChange.Kind, message: String,
        by principal: Principal, in transaction: Transaction
    ) throws -> BundleChange {
        let agent = try agents.want(version.version, of: version.agent, by: principal, in: transaction)
        let change = BundleChange(
            agent: version.agent, number: try store.nextChange(of: version.agent, in: transaction), kind: kind,
            version: version.version, previous: previous, author: principal.actor, message: message, at: world.now)
        try store.insert(change, in: transaction)
        let type = kind == .push ? "bundle.pushed" : "bundle.rolled_back"
        let data: JSONValue = [
            "version": .string(version.version), "previous": .of(previous), "message": .string(message),
        ]
        try events.append(
            EventDraft(type, actor: principal.actor, project: agent.project, agent: agent.name, data: data),
            in: transaction)
        try audit.record(type, by: principal, target: "agent:\(agent.name)", detail: data, in: transaction)
        return change
    }

    // MARK: Looking

    /// A version by its name, or by the first ``shortestName`` digits of it or more; else `not_found`.
    public func version(
        _ name: String, of agent: String, in transaction: Transaction
    ) throws -> BundleVersion {
        let isName =
            (Self.shortestName...64).contains(name.utf8.count) && name.utf8.allSatisfy(Hexadecimal.isDigit)
        guard isName, let version = try store.version(name, of: agent, in: transaction) else {
            throw Problem(
                .notFound, "The agent \"\(agent)\" has no version \"\(name.prefix(80))\" of its configuration.",
                hint: "`reeve config versions \(agent)` lists them; \(Self.shortestName) digits are enough.")
        }
        return version
    }

    public func versions(
        of agent: String, page: Page, in transaction: Transaction
    ) throws -> (items: [BundleVersion], next: String?) {
        var versions = try store.versions(of: agent, page: page, in: transaction)
        let takenBack = try trials.takenBack(of: agent, versions.map(\.version), in: transaction)
        for index in versions.indices { versions[index].takenBack = takenBack[versions[index].version] }
        return page.cut(versions) { "\($0.number)" }
    }

    /// What the agent was to run with, the newest first.
    public func changes(of agent: String, limit: Int, in transaction: Transaction) throws -> [BundleChange] {
        try store.changes(of: agent, limit: limit, in: transaction)
    }

    /// A version with its files' contents.
    public func bundle(_ version: String, _ storage: any Storage) async throws -> AgentBundle {
        if let known = memory[version] { return known }
        let files = try await storage.read { try store.files(of: version, in: $0) }
        var read: [BundleFile] = []
        for file in files {
            read.append(
                BundleFile(path: file.path, content: String(decoding: try await blobs.get(file.sha256), as: UTF8.self)))
        }
        let bundle = AgentBundle(stored: read, version: version)
        memory.keep(bundle)
        return bundle
    }

    /// What differs between two versions, as a unified diff.
    public func diff(
        _ old: String, _ new: String, of agent: String, _ storage: any Storage
    ) async throws -> (old: BundleVersion, new: BundleVersion, text: String) {
        let (from, to) = try await storage.read { transaction in
            (try version(old, of: agent, in: transaction), try version(new, of: agent, in: transaction))
        }
        let before = try await bundle(from.version, storage)
        let after = try await bundle(to.version, storage)
        return (from, to, BundleDiff.unified(before.files, after.files))
    }

    /// Each line of a file with the version that last changed it.
    public func blame(
        _ path: String, at name: String, of agent: String, _ storage: any Storage
    ) async throws -> [(line: BundleBlame.Line, version: BundleVersion)] {
        let (chain, contents) = try await storage.read { transaction in
            let chain = try lineage(of: version(name, of: agent, in: transaction), in: transaction)
            return (chain, try store.contents(of: path, in: chain.map(\.version), transaction))
        }
        guard let last = chain.last, contents[last.version] != nil else {
            throw Problem.notFound("file", path)
        }
        var history: [(version: String, content: String?)] = []
        var lastDigest: String?
        for version in chain {
            let digest = contents[version.version]
            guard digest != lastDigest else { continue }
            lastDigest = digest
            var content: String?
            if let digest { content = String(decoding: try await blobs.get(digest), as: UTF8.self) }
            history.append((version.version, content))
        }
        let known = Dictionary(chain.map { ($0.version, $0) }) { first, _ in first }
        return BundleBlame.lines(history).compactMap { line in known[line.version].map { (line, $0) } }
    }

    /// A version with those that it came from, the oldest first.
    private func lineage(of version: BundleVersion, in transaction: Transaction) throws -> [BundleVersion] {
        var chain = [version]
        var seen: Set<String> = [version.version]
        while chain.count < BundleBlame.versionsMax, let parent = chain[chain.count - 1].parent,
            seen.insert(parent).inserted,
            let next = try store.version(parent, of: version.agent, in: transaction)
        {
            chain.append(next)
        }
        return chain.reversed()
    }

    /// The roll-out that an agent is in, or else the latest that it had a part in.
    func rollout(of agent: Agent, in transaction: Transaction) throws -> BundleTrial? {
        try trials.current(agent, in: transaction)
    }

    /// Agents of a roll-out that do not say yet that they run with what they are to run with.
    func laggards(of trial: BundleTrial, in transaction: Transaction) throws -> [String] {
        try trial.members.prefix(BundleTrialView.laggardsMax).filter { member in
            guard let agent = try agents.agent(named: member.agent, in: transaction) else { return false }
            return AgentConfigState.isBehind(desired: agent.configDesired, reported: agent.configReported)
        }.map(\.agent)
    }

    /// Who is to run with what, and does.
    public func states(
        isBehind: Bool?, page: Page, in transaction: Transaction
    ) throws -> (items: [AgentConfigState], next: String?) {
        page.cut(
            try agents.configStates(isBehind: isBehind, after: page.after, limit: page.limit + 1, in: transaction),
            cursor: \.agent)
    }
}

/// Bundles that were asked for lately: a fleet that takes up a new version asks for the same one.
final class BundleMemory: Sendable {
    /// Bundles that are kept; each has ``AgentBundle/bytesMax`` bytes at most.
    static let bundlesMax = 16

    private let kept = Mutex<[AgentBundle]>([])

    subscript(version: String) -> AgentBundle? {
        kept.withLock { kept in
            guard let index = kept.firstIndex(where: { $0.version == version }) else { return nil }
            let bundle = kept.remove(at: index)
            kept.append(bundle)
            return bundle
        }
    }

    func keep(_ bundle: AgentBundle) {
        kept.withLock { kept in
            kept.removeAll { $0.version == bundle.version }
            kept.append(bundle)
            if kept.count > Self.bundlesMax { kept.removeFirst() }
        }
    }
}
