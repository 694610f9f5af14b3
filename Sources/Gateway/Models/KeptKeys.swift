import Kernel
import Synchronization

/// Who has the keys that Reeve keeps. Each reading is written down before the key is handed out.
public protocol KeyVault: Sendable {
    /// `nil` where there is no such secret. Throws where it cannot be opened, or the reading not be written down.
    func key(at path: SecretPath, for caller: Principal) async throws -> KeptKey?
    /// What changed since this was last asked. From memory, for each call.
    func takeChanges() -> KeyChanges
}

/// A key that Reeve keeps.
public struct KeptKey: Sendable {
    /// `nil` where this version was deleted or destroyed.
    public let value: SecretBytes?
    public let version: Int

    public init(value: SecretBytes?, version: Int) {
        (self.value, self.version) = (value, version)
    }
}

/// Which kept keys have to be asked for anew.
public enum KeyChanges: Sendable, Equatable {
    case none
    case these([SecretPath])
    case all
}

/// Keys that were read from the vault, for a short while: what a call needs is here, and a new version is used by the
/// next call. Calls that run go on with what they have.
final class KeptKeys: Sendable {
    /// How long a key is used before it is read, and written down as used, again.
    static let life = Span.minutes(1)
    /// How long it is believed that there is none, and that one cannot be opened.
    static let absentLife = Span.seconds(10)
    static let faultLife = Span.seconds(1)
    /// Beyond it others give way.
    static let keysMax = 10_000

    enum Finding: Sendable {
        case key(SecretBytes, version: Int)
        /// The newest version was deleted or destroyed.
        case gone(version: Int)
        case absent
        /// It is there and cannot be used, for this reason.
        case fault(String)
    }

    private struct Entry {
        let finding: Finding
        let until: Timestamp
    }

    /// A reading under way, which all who want the same key wait for.
    private struct Reading {
        let serial: Int
        let task: Task<Finding, Never>
    }

    private struct State {
        var entries: [SecretPath: Entry] = [:]
        var readings: [SecretPath: Reading] = [:]
        var serial = 0
    }

    private let vault: (any KeyVault)?
    private let world: World
    private let state = Mutex(State())

    init(_ vault: (any KeyVault)?, world: World) {
        (self.vault, self.world) = (vault, world)
    }

    /// What is at hand; `nil` where the vault has to be asked.
    func known(_ path: SecretPath) -> Finding? {
        guard let vault else { return .fault("this Reeve keeps no secrets") }
        let changes = vault.takeChanges()
        let now = world.now
        return state.withLock { state in
            switch changes {
            case .none: break
            case .all: (state.entries, state.readings) = ([:], [:])
            case .these(let paths):
                for path in paths {
                    state.entries[path] = nil
                    // What is being read may be the old version: whoever comes now has it read again.
                    state.readings[path] = nil
                }
            }
            guard let entry = state.entries[path], now < entry.until else { return nil }
            return entry.finding
        }
    }

    /// Asks the vault, once for all who ask at the same time.
    func find(_ path: SecretPath, for caller: Principal) async -> Finding {
        if let known = known(path) { return known }
        let task = state.withLock { state in
            if let reading = state.readings[path] { return reading.task }
            state.serial += 1
            let serial = state.serial
            let task = Task { [self] in
                let finding = await read(path, for: caller)
                keep(finding, at: path, of: serial)
                return finding
            }
            state.readings[path] = Reading(serial: serial, task: task)
            return task
        }
        return await task.value
    }

    private func read(_ path: SecretPath, for caller: Principal) async -> Finding {
        do {
            guard let key = try await vault?.key(at: path, for: caller) else { return .absent }
            guard let value = key.value else { return .gone(version: key.version) }
            guard value.text.map(ProviderKeyring.isKey) == true else {
                return .fault("version \(key.version) holds no key that can stand in a header")
            }
            return .key(value, version: key.version)
        } catch let problem as Problem {
            return .fault(problem.code.name)
        } catch {
            // The cause is for the log of who keeps secrets, not for a caller.
            return .fault("it cannot be read now")
        }
    }

    private func keep(_ finding: Finding, at path: SecretPath, of serial: Int) {
        let life =
            switch finding {
            case .key, .gone: Self.life
            case .absent: Self.absentLife
            case .fault: Self.faultLife
            }
        let until = world.now + life
        state.withLock { state in
            guard state.readings[path]?.serial == serial else { return }
            state.readings[path] = nil
            if state.entries.count >= Self.keysMax, let other = state.entries.keys.first { state.entries[other] = nil }
            state.entries[path] = Entry(finding: finding, until: until)
        }
    }

    /// Lets go of keys that nobody asked for of late.
    func forgetOld() {
        let now = world.now
        state.withLock { state in state.entries = state.entries.filter { now < $0.value.until } }
    }

    var count: Int { state.withLock { $0.entries.count } }
}
