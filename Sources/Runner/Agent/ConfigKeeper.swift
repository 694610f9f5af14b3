import Foundation
import Kernel
import Synchronization

/// What a program is told when its configuration has changed.
public enum ConfigReaction: Sendable, Equatable {
    /// Its process gets a signal, and reads the files anew.
    case signal(Int32)
    /// It is ended and started again.
    case restart
    /// It looks by itself.
    case none

    private static let signals: [(name: String, number: Int32)] = [
        ("HUP", SIGHUP), ("USR1", SIGUSR1), ("USR2", SIGUSR2), ("INT", SIGINT), ("TERM", SIGTERM),
    ]

    /// Reads `signal:HUP`, `restart` or `none`; `nil` for anything else.
    public init?(_ text: String) {
        switch text {
        case "restart": self = .restart
        case "none": self = .none
        default:
            guard text.hasPrefix("signal:") else { return nil }
            let name = text.dropFirst("signal:".count).uppercased()
            guard
                let signal = Self.signals.first(where: { $0.name == name || "SIG\($0.name)" == name })
            else { return nil }
            self = .signal(signal.number)
        }
    }
}

/// Keeps what an agent is to run with in a folder, for a program that only reads files.
///
/// Each version has a folder of its own, and `current` is a link to one of them that is moved in one step: a program
/// sees the old files or the new ones, never some of each. While the server is away the last version stays.
public final class ConfigKeeper: Sendable {
    private struct State {
        /// What is in the folder.
        var version: String?
        /// Names the version together with the values that were set above it.
        var etag: String?
        /// What the server was asked for in vain: asked again when it wants something else.
        var missing: String?
        /// What the server wants, as its last reply named it.
        var heard: String?
        var hasFailed = false
        var wake = Promise<Void>()
        var changed = Promise<Void>()
    }

    private let client: ReeveClient
    private let agent: String
    private let root: String
    private let log: LogWriter
    private let state: Mutex<State>

    /// - Parameter root: A folder of this agent's own.
    public init(_ client: ReeveClient, agent: String, root: String, log: LogWriter) {
        self.client = client
        self.agent = agent
        self.root = root
        self.log = log
        var state = State()
        // What an earlier run left, for a start while the server is away.
        state.version = FileManager.default.contents(atPath: "\(root)/current/\(BundleFiles.versionFile)")
            .flatMap { String(validating: $0, as: UTF8.self) }
        self.state = Mutex(state)
    }

    /// What the program finds in `REEVE_CONFIG_DIR`.
    public var folder: String { "\(root)/current" }

    /// The version that is in the folder.
    public var version: String? { state.withLock { $0.version } }

    /// Fulfilled when the folder changes next.
    public var changed: Promise<Void> { state.withLock { $0.changed } }

    /// Hears what the server wants, with each heartbeat.
    public func hear(_ desired: String?, etag: String?) {
        state.withLock { state in
            state.heard = etag ?? desired
            guard let desired, state.missing != state.heard else { return }
            if state.version != desired || (etag != nil && state.etag != etag) { state.wake.fulfil(()) }
        }
    }

    /// Fetches what is wanted whenever it has changed, until the caller's task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            let wake = state.withLock { $0.wake }
            guard await wake.value() != nil else { return }
            await update()
            state.withLock { $0.wake = Promise() }
        }
    }

    /// Fetches what the agent is to run with and puts it into the folder.
    public func update() async {
        do {
            let document = try await client.get(ReeveClient.path("api", "v1", "agents", agent, "config"))
            guard try write(document) else { return }
            let changed = state.withLock { state in
                defer { state.changed = Promise() }
                (state.missing, state.hasFailed) = (nil, false)
                return state.changed
            }
            changed.fulfil(())
        } catch let failure as ClientFailure where failure.code == "not_found" {
            // The registry names a version that no bundle has: it is none of ours.
            state.withLock { $0.missing = $0.heard }
        } catch {
            let isNews = state.withLock { state in
                defer { state.hasFailed = true }
                return !state.hasFailed
            }
            if isNews { log.write(LogLine(.warning, "the configuration was not taken up: \(error)", agent: agent)) }
        }
    }

    /// Writes a version beside the others, and moves the link to it. `false` where that is in force already.
    func write(_ document: JSONValue) throws -> Bool {
        let bundle = try BundleFiles(document)
        let (version, etag) = (bundle.version, bundle.etag)
        guard state.withLock({ $0.etag }) != etag else { return false }
        let name = "\(version.prefix(16))-\(etag)"
        try bundle.write(to: "\(root)/versions/\(name)")
        try link(name)
        state.withLock { state in
            (state.version, state.etag) = (version, etag)
        }
        clear(besides: name)
        return true
    }

    /// A link is replaced by renaming another over it, which is one step.
    private func link(_ name: String) throws {
        let next = "\(root)/.next"
        unlink(next)
        guard symlink("versions/\(name)", next) == 0, rename(next, folder) == 0 else {
            throw DurableFile.Failure(call: "rename", path: folder, code: errno)
        }
        try DurableFile.syncFolder(of: folder)
    }

    /// Versions before this one. The last is kept for a moment: the program may still read it.
    private func clear(besides name: String) {
        let folder = "\(root)/versions"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        func age(_ name: String) -> Date {
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
            return attributes?[.modificationDate] as? Date ?? .distantPast
        }
        let others = names.filter { $0 != name }.sorted { age($0) > age($1) }
        for old in others.dropFirst() { try? FileManager.default.removeItem(atPath: "\(folder)/\(old)") }
    }
}
