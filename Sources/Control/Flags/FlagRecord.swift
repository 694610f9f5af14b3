import Kernel

/// What a flag was from one moment on, who made it so, and why.
public struct FlagVersionRecord: Sendable, Equatable {
    public enum Act: String, Sendable, CaseIterable {
        case created, updated, deleted
        case switchedOn = "switched_on"
        case switchedOff = "switched_off"
    }

    public let version: Int64
    public let at: Timestamp
    public let author: String
    public let act: Act
    public let reason: String?
    public let definition: JSONValue

    /// - Parameter previous: What it was before; `nil` where that is not known any more.
    func json(since previous: JSONValue?) -> JSONValue {
        [
            "version": .int(version), "at": at.json, "author": .string(author), "act": .string(act.rawValue),
            "reason": .of(reason), "definition": definition,
            "changes": .list(previous.map { FlagChange.between($0, definition) } ?? []),
        ]
    }
}

/// One place at which two documents differ.
public struct FlagChange: Sendable, Equatable, JSONConvertible {
    /// Places that are told; beyond it the whole documents say more.
    static let changesMax = 100

    public let path: String
    public let from: JSONValue?
    public let to: JSONValue?

    public var json: JSONValue { ["path": .string(path), "from": .of(from), "to": .of(to)] }

    /// Objects by their members; all else, lists too, as a whole: a list whose items moved has no smaller difference.
    static func between(_ old: JSONValue, _ new: JSONValue, path: String = "") -> [FlagChange] {
        guard old != new else { return [] }
        guard let left = old.object, let right = new.object else {
            return [FlagChange(path: path, from: old, to: new)]
        }
        let names = left.names + right.names.filter { left[$0] == nil }
        let changes = names.flatMap { name -> [FlagChange] in
            let place = path.isEmpty ? name : "\(path)/\(name)"
            guard let one = left[name], let other = right[name] else {
                return [FlagChange(path: place, from: left[name], to: right[name])]
            }
            return between(one, other, path: place)
        }
        // The order of members alone: of splits and variants it means nothing.
        return Array(changes.prefix(changesMax))
    }
}
