import Kernel

/// A switch or a choice that people make while agents run: which of its variants somebody gets, and why.
///
/// Pure: what is served is worked out by ``FlagEvaluator`` from this and a context alone.
public struct FeatureFlag: Sendable, Equatable {
    /// Characters of a key, a variant's name and a rule's id.
    public static let nameMax = 128
    /// Flags at one time: every replica keeps all of them in memory, and a bulk evaluation tells of each.
    public static let flagsMax: Int64 = 2_000

    public let key: String
    public let definition: FlagDefinition
    /// Which parts of everybody each split serves, by the id of its rule or schedule.
    public let shares: [String: FlagShares]
    /// Counts changes of this flag; the `ETag`. A flag that is deleted and made again goes on counting.
    public let version: Int64
    /// The counter of all flags at its last change.
    public let revision: Int64
    public let createdAt: Timestamp
    public let createdBy: String
    public let updatedAt: Timestamp
    public let updatedBy: String

    public var etag: String { "\"\(version)\"" }
}

/// What a person says of a flag: the whole of it, as a change replaces what was there.
public struct FlagDefinition: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case boolean, string, number, object

        func fits(_ value: JSONValue) -> Bool {
            switch self {
            case .boolean: value.bool != nil
            case .string: value.string != nil
            case .number: value.double != nil
            // Both stand for structures in OpenFeature.
            case .object: value.object != nil || value.array != nil
            }
        }
    }

    /// Whom a change reaches.
    public enum Mode: String, Sendable, CaseIterable {
        /// Sessions keep what they began with.
        case pinned
        /// Everybody, at once: kill switches.
        case live
    }

    public struct Variant: Sendable, Equatable {
        public let name: String
        public let value: JSONValue
    }

    /// What a rule or a schedule serves.
    public enum Outcome: Sendable, Equatable {
        case variant(String)
        /// In hundredths of a percent, 10,000 in all.
        case split([FlagShares.Wish])
    }

    /// The first whose conditions all hold decides.
    public struct Rule: Sendable, Equatable {
        public let id: String
        public let conditions: [FlagCondition]
        public let outcome: Outcome
    }

    /// What is served for a while to those whom no rule meets. The first that is in force decides.
    public struct Schedule: Sendable, Equatable {
        public let id: String
        public let from: Timestamp?
        public let until: Timestamp?
        public let outcome: Outcome

        func isInForce(at now: Timestamp) -> Bool {
            (from.map { $0 <= now } ?? true) && (until.map { now < $0 } ?? true)
        }
    }

    /// Another flag that must serve one of these, or this one counts as switched off.
    public struct Prerequisite: Sendable, Equatable {
        public let flag: String
        public let variants: [String]
    }

    public let kind: Kind
    public let mode: Mode
    public let isEnabled: Bool
    public let variants: [Variant]
    public let defaultVariant: String
    /// What a flag serves that is switched off; the default variant where it names none.
    public let offVariant: String?
    public let rules: [Rule]
    public let schedules: [Schedule]
    public let prerequisites: [Prerequisite]
    /// The key of the configuration that the flag's value stands for.
    public let configKey: String?
    public let salt: String
    /// The same as a document, with its members in one order.
    public let document: JSONObject

    public func value(of variant: String) -> JSONValue? { variants.first { $0.name == variant }?.value }

    /// When what is served may change by itself, behind a moment.
    func nextTurn(after now: Timestamp) -> Timestamp? {
        schedules.flatMap { [$0.from, $0.until] }.compactMap(\.self).filter { $0 > now }.min()
    }

    var hasSplit: Bool { !splits.isEmpty }

    /// All splits, by the id of what they stand in.
    var splits: [(id: String, wishes: [FlagShares.Wish])] {
        (rules.map { ($0.id, $0.outcome) } + schedules.map { ($0.id, $0.outcome) }).compactMap { id, outcome in
            guard case .split(let wishes) = outcome else { return nil }
            return (id, wishes)
        }
    }

    /// The same, switched on or off.
    func switched(_ isOn: Bool) -> FlagDefinition {
        var document = document
        document["enabled"] = .bool(isOn)
        return FlagDefinition(
            kind: kind, mode: mode, isEnabled: isOn, variants: variants, defaultVariant: defaultVariant,
            offVariant: offVariant, rules: rules, schedules: schedules, prerequisites: prerequisites,
            configKey: configKey, salt: salt, document: document)
    }
}

extension FeatureFlag: JSONConvertible {
    public var json: JSONValue {
        var object = JSONObject()
        object["key"] = .string(key)
        for member in definition.document.members { object[member.name] = member.value }
        object["version"] = .int(version)
        object["createdAt"] = createdAt.json
        object["createdBy"] = .string(createdBy)
        object["updatedAt"] = updatedAt.json
        object["updatedBy"] = .string(updatedBy)
        return .object(object)
    }

    /// What the interface adds to a definition: a flag that was read may be sent back as it is.
    static let ownMembers = ["key", "version", "createdAt", "createdBy", "updatedAt", "updatedBy"]
}
