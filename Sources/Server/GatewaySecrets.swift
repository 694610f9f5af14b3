import Control
import Gateway
import Kernel

/// The kept keys that the gateway uses, and word of those that changed: by this process at once, by other replicas
/// within ``interval`` and the time of a read.
final class GatewaySecrets: KeyVault {
    static let interval = Span.milliseconds(200)
    /// Changes that are told one by one; beyond it all keys are asked for anew.
    static let changesMax = 1_000

    private let secrets: SecretService
    private let changes: LogFollower<KeyChanges>

    init(secrets: SecretService, events: Events, storage: any Storage) {
        self.secrets = secrets
        changes = LogFollower(.all, events: events, storage: storage) { $0.take($1, max: Self.changesMax) }
    }

    func key(at path: SecretPath, for caller: Principal) async throws -> KeptKey? {
        try await secrets.lend(path, to: .gateway, for: caller).map { KeptKey(value: $0.value, version: $0.version) }
    }

    func takeChanges() -> KeyChanges {
        changes.withState { changes in
            defer { changes = .none }
            return changes
        }
    }

    var loops: [Loop] { [Loop("gateway.secrets", every: Self.interval) { try await self.look() }] }

    /// Looks for what changed. The first time everything may have.
    func look() async throws { try await changes.look { _ in { $0 = .all } } }
}

extension KeyChanges {
    fileprivate mutating func take(_ event: Event, max: Int) {
        guard event.type.hasPrefix("secret."), event.type != "secret.granted",
            let path = event.data["path"]?.string.flatMap({ try? SecretPath($0) })
        else { return }
        switch self {
        case .none: self = .these([path])
        case .these(let known) where known.count < max: self = .these(known + [path])
        case .these, .all: self = .all
        }
    }
}
