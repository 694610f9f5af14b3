import Foundation
import Kernel
import Synchronization

/// Keeps the secrets that an agent's program needs as files, and brings new versions.
///
/// The values stand in no variable and no argument, where others could see them: the program finds the folder's name in
/// `REEVE_SECRETS_DIR`. Each is read with a lease, so that everybody can see who holds which version.
public final class SecretKeeper: Sendable {
    /// How often it looks for new versions.
    static let interval = Span.seconds(5)
    static let leaseSeconds: Int64 = 3_600
    /// Secrets of one program.
    public static let filesMax = 100
    /// How the keys begin under which a configuration names its secrets.
    private static let section = "secrets."

    private struct Kept: Sendable {
        let reference: SecretReference
        let version: Int64
        let lease: String?
        let renewAt: Timestamp
    }

    private struct State {
        var kept: [String: Kept] = [:]
        /// Those that the agent's configuration names, and the state of it that they are from.
        var named: [String: SecretReference] = [:]
        var namedBy: String?
        /// What the server wants the agent to run with.
        var heard: String?
        /// What was last said of each that cannot be had.
        var faults: [String: String] = [:]
        var changed = Promise<Void>()
    }

    private let client: ReeveClient
    private let agent: String
    private let asked: [String: SecretReference]
    private let folder: SecretFolder
    private let log: LogWriter
    private let state = Mutex(State())

    private var world: World { client.world }

    /// - Parameter asked: What this run needs by file name, whatever the agent's configuration says.
    public init(
        _ client: ReeveClient, agent: String, asked: [String: SecretReference], folder: SecretFolder, log: LogWriter
    ) {
        (self.client, self.agent, self.asked, self.folder, self.log) = (client, agent, asked, folder, log)
    }

    /// What the program finds in its environment.
    public var environment: [String: String] { ["REEVE_SECRETS_DIR": folder.path] }

    /// Whether there is any.
    public var hasFiles: Bool { state.withLock { !$0.kept.isEmpty } }

    /// Fulfilled when a file changes next.
    public var changed: Promise<Void> { state.withLock { $0.changed } }

    /// Hears with each heartbeat what the agent is to run with: `nil` where there is no configuration.
    public func hear(_ etag: String?) { state.withLock { $0.heard = etag } }

    /// The first look, before the program starts.
    ///
    /// - Throws: where one that was asked for cannot be had. What only the configuration names is said in the log.
    public func begin() async throws {
        await learn(.brief)
        for (name, reference) in asked.sorted(by: { $0.key < $1.key }) { _ = try await bring(name, reference, .brief) }
        await update()
    }

    /// Looks for what changed until the caller's task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            try? await world.time.sleep(for: Self.interval)
            guard !Task.isCancelled else { return }
            let isNews = state.withLock { $0.heard != nil && $0.heard != $0.namedBy }
            if isNews { await learn(.none) }
            await update()
        }
    }

    /// Removes the files, and ends the leases.
    public func end() async {
        let kept = state.withLock { state in
            defer { state.kept = [:] }
            return state.kept
        }
        folder.remove()
        for lease in kept.values.compactMap(\.lease) { await revoke(lease) }
    }

    // MARK: which ones

    /// Asks which secrets the agent's configuration names.
    private func learn(_ patience: Patience) async {
        do {
            let path = ReeveClient.path("api", "v1", "agents", agent, "config")
            let document = try await client.get(path, patience: patience)
            var named: [String: SecretReference] = [:]
            for member in document["values"]?.object?.members ?? [] where member.name.hasPrefix(Self.section) {
                let name = String(member.name.dropFirst(Self.section.count))
                guard let reference = member.value.string.flatMap(SecretReference.init) else { continue }
                guard SecretFolder.isName(name), named.count < Self.filesMax else {
                    say(name, "\"\(name)\" can be no file's name, or is one too many")
                    continue
                }
                named[name] = reference
            }
            let (found, etag) = (named, document["etag"]?.string)
            state.withLock { ($0.named, $0.namedBy) = (found, etag) }
        } catch ClientFailure.refused(let refusal) where refusal.status == 404 {
            state.withLock { ($0.named, $0.namedBy) = ([:], $0.heard) }
        } catch {
            // The last ones stay while the server is away.
        }
    }

    // MARK: their files

    /// Brings every file up to date. Whatever cannot be asked now is asked at the next look.
    func update() async {
        let wanted = state.withLock { $0.named.merging(asked) { $1 } }
        var over: [String] = []
        var isChanged = false
        for (name, reference) in wanted.sorted(by: { $0.key < $1.key }) {
            let before = state.withLock { $0.kept[name] }
            do {
                guard try await bring(name, reference, .none) else { continue }
                isChanged = true
                if let lease = before?.lease { over.append(lease) }
            } catch ClientFailure.refused(let refusal) where [403, 404, 410].contains(refusal.status) {
                // Whoever may not have it any more has it no more.
                isChanged = drop(name) || isChanged
                say(name, "\(reference): \(refusal.detail)")
            } catch {
                say(name, "\(reference): \(error)")
            }
        }
        let gone = state.withLock { Set($0.kept.keys).subtracting(wanted.keys) }
        for name in gone {
            if let lease = state.withLock({ $0.kept[name]?.lease }) { over.append(lease) }
            isChanged = drop(name) || isChanged
        }
        if isChanged {
            let changed = state.withLock { state in
                defer { state.changed = Promise() }
                return state.changed
            }
            changed.fulfil(())
        }
        for lease in over { await revoke(lease) }
    }

    /// Sees that the newest version is in its file; whether that had to be written.
    private func bring(
        _ name: String, _ reference: SecretReference, _ patience: Patience
    ) async throws -> Bool {
        let place = ["api", "v1", "secrets", reference.path.description]
        if let kept = state.withLock({ $0.kept[name] }), kept.reference == reference {
            let about = try await client.get(
                ReeveClient.path(place[0], place[1], place[2], place[3]), patience: patience)
            let newest = about["version"]?.int
            let isGone = (about["versions"]?.array ?? []).contains { version in
                version["version"]?.int == newest
                    && (version["destroyed"]?.bool == true || version["deletedAt"]?.isNull == false)
            }
            if newest == kept.version, !isGone, try await isHeld(kept, name) { return false }
        }
        let reading = try await client.get(
            ReeveClient.path(
                place[0], place[1], place[2], place[3], "value", query: [("lease", String(Self.leaseSeconds))]),
            patience: patience)
        guard let version = reading["version"]?.int, let data = reading["data"]?.object else {
            throw ClientFailure.unreadable("a secret without its value")
        }
        try folder.write(Self.content(data), as: name)
        let seconds = reading["leaseDuration"]?.int ?? Self.leaseSeconds
        let kept = Kept(
            reference: reference, version: version, lease: reading["leaseId"]?.string,
            renewAt: world.now + Span.seconds(max(1, seconds)) * (2.0 / 3))
        state.withLock { state in
            state.kept[name] = kept
            state.faults[name] = nil
        }
        log.write(LogLine(.info, "the secret \(name) has version \(version) of \(reference)", agent: agent))
        return true
    }

    /// Lets its lease run on where that is due; `false` where the secret has to be read again.
    private func isHeld(_ kept: Kept, _ name: String) async throws -> Bool {
        guard let lease = kept.lease, world.now >= kept.renewAt else { return true }
        do {
            let reply = try await client.post(
                ReeveClient.path("api", "v1", "secrets", "leases", lease, "renew"),
                ["seconds": .int(Self.leaseSeconds)], patience: .none)
            let seconds = reply["leaseDuration"]?.int ?? 0
            let next = Kept(
                reference: kept.reference, version: kept.version, lease: lease,
                renewAt: world.now + Span.seconds(max(1, seconds)) * (2.0 / 3))
            state.withLock { $0.kept[name] = next }
            return reply["renewable"]?.bool ?? true
        } catch ClientFailure.refused(let refusal) where [404, 410].contains(refusal.status) {
            return false
        }
    }

    /// What stands in the file: the value by itself, or the document where there are several.
    private static func content(_ data: JSONObject) -> [UInt8] {
        let text = data["value"]?.string ?? (data.count == 1 ? data.members.first?.value.string : nil)
        return text.map { Array($0.utf8) } ?? JSONValue.object(data).bytes
    }

    /// Whether there was a file.
    private func drop(_ name: String) -> Bool {
        guard state.withLock({ $0.kept.removeValue(forKey: name) }) != nil else { return false }
        folder.remove(name)
        return true
    }

    private func revoke(_ lease: String) async {
        _ = try? await client.post(
            ReeveClient.path("api", "v1", "secrets", "leases", lease, "revoke"), patience: .none, timeout: .seconds(5))
    }

    /// Each fault is said once.
    private func say(_ name: String, _ fault: String) {
        let isNews = state.withLock { state in
            defer { state.faults[name] = fault }
            return state.faults[name] != fault
        }
        if isNews { log.write(LogLine(.warning, "the secret \(name) cannot be had: \(fault)", agent: agent)) }
    }
}
