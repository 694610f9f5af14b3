import Kernel

/// A bundle as an agent's history has it: who pushed it, when and why. It never changes.
public struct BundleVersion: Sendable, Equatable {
    public let agent: String
    /// The bundle's name, which its content gives it.
    public let version: String
    /// Counts an agent's versions.
    public let number: Int64
    /// What the agent was to run with when this was pushed; `nil` for the first.
    public let parent: String?
    public let author: String
    public let message: String
    public let files: Int64
    public let bytes: Int64
    public let createdAt: Timestamp
    /// The last roll-out that took it back; `nil` where none did, or nobody asked.
    public var takenBack: TakenBack?

    /// That a version was worse than what it was to replace.
    public struct TakenBack: Sendable, Equatable {
        public let rollout: String
        public let reason: String
        public let at: Timestamp?
    }
}

extension BundleVersion.TakenBack: JSONConvertible {
    public var json: JSONValue {
        ["rollout": .string(rollout), "reason": .string(reason), "at": .of(at)]
    }
}

extension BundleVersion: JSONConvertible {
    public var json: JSONValue {
        [
            "version": .string(version), "agent": .string(agent), "number": .int(number), "parent": .of(parent),
            "author": .string(author), "message": .string(message), "files": .int(files), "bytes": .int(bytes),
            "createdAt": createdAt.json, "takenBack": .of(takenBack),
        ]
    }
}

/// One time that an agent was to run with another version.
public struct BundleChange: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case push, rollback
    }

    public let agent: String
    public let number: Int64
    public let kind: Kind
    public let version: String
    public let previous: String?
    public let author: String
    public let message: String
    public let at: Timestamp
}

extension BundleChange: JSONConvertible {
    public var json: JSONValue {
        [
            "version": .string(version), "message": .string(message), "author": .string(author),
            "agent": .string(agent), "kind": .string(kind.rawValue), "previous": .of(previous), "at": at.json,
        ]
    }
}

/// What an agent is to run with, and what it says that it runs with.
public struct AgentConfigState: Sendable, Equatable {
    public let agent: String
    public let desired: String?
    public let reported: String?
    public let lastHeartbeatAt: Timestamp?

    /// Whether it is still to take up what it is to run with.
    public var isBehind: Bool { Self.isBehind(desired: desired, reported: reported) }

    static func isBehind(desired: String?, reported: String?) -> Bool { desired != nil && desired != reported }
}

extension AgentConfigState: JSONConvertible {
    public var json: JSONValue {
        [
            "agent": .string(agent), "desired": .of(desired), "reported": .of(reported), "behind": .bool(isBehind),
            "lastHeartbeatAt": .of(lastHeartbeatAt),
        ]
    }
}
