import Kernel

/// Who may still hold a value that is being replaced.
public struct RotationUser: Sendable, Equatable, JSONConvertible {
    let actor: String
    let agent: String?
    let lastUsedAt: Timestamp
    /// Whether they have read the new value since.
    let hasMoved: Bool
    /// Tasks and sessions that began with the old value, and leases of it.
    let running: Int

    public var json: JSONValue {
        [
            "actor": .string(actor), "agent": .of(agent), "lastUsedAt": lastUsedAt.json, "moved": .bool(hasMoved),
            "running": running.json,
        ]
    }
}

/// How far the rotation of a secret is, what it waits for, and who still uses the old value.
public struct SecretRotationView: Sendable, JSONConvertible {
    let secret: KeptSecret
    let kept: SecretRotationStore.Kept?
    let users: [RotationUser]
    let waitsFor: [SecretRotation.Wait]
    let now: Timestamp
    /// What whoever gave a new value has to know.
    var warnings: [String] = []

    public var json: JSONValue {
        let every = (secret.rotateEvery ?? KeptSecret.rotationAge).microseconds / Span.hours(24).microseconds
        var object = JSONObject()
        object["path"] = .string(secret.path.description)
        object["version"] = secret.version.json
        object["state"] = .of(kept?.rotation.state.rawValue)
        if let rotation = kept?.rotation {
            object["oldVersion"] = rotation.oldVersion.json
            object["newVersion"] = rotation.newVersion.json
            object["overlapHours"] = (rotation.overlap.microseconds / Span.hours(1).microseconds).json
            object["stagedAt"] = rotation.stagedAt.json
            object["stagedBy"] = .of(kept?.stagedBy)
            object["proof"] =
                rotation.proof.map { ["kind": .string($0.words.kind), "detail": .string($0.words.detail)] } ?? .null
            object["issuedAt"] = .of(rotation.issuedAt)
            object["endedAt"] = .of(rotation.endedAt)
            object["compromised"] = .bool(rotation.isCompromise)
            object["allowed"] = .list(rotation.allowed.filter { $0 != .drain }.map(\.rawValue))
            object["waitsFor"] = .list(waitsFor.map(\.text))
            object["waits"] = .array(waitsFor.map { ["what": .string($0.what), "until": .of($0.until)] })
            object["users"] = .list(users)
        }
        object["rotateEveryDays"] = every.json
        object["dueAt"] = .of(secret.dueAt)
        object["due"] = .bool(secret.dueAt.map { $0 <= now } ?? false)
        object["probe"] = secret.probe?.json ?? .null
        if !warnings.isEmpty { object["warnings"] = .list(warnings) }
        return .object(object)
    }
}
