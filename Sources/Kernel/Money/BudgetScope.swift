/// Whom or what a budget is for: `org`, `project:NAME`, `agent:NAME`, `task:ID`, `session:ID`, `key:ID`, `tag:NAME`.
public struct BudgetScope: Sendable, Hashable {
    public enum Kind: String, Sendable, CaseIterable {
        case org, project, agent, task, session, key, tag
    }

    public let kind: Kind
    /// Empty for ``Kind/org`` and nowhere else.
    public let name: String

    /// Of a name that is known to be one; what no budget is for matches none.
    public init(_ kind: Kind, _ name: String) {
        self.kind = kind
        self.name = kind == .org ? "" : name
    }

    public static let org = BudgetScope(.org, "")

    /// Reads a scope from outside; errors name `path`.
    public init(_ text: String, path: String, limits: Limits) throws {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let kind = parts.first.flatMap({ Kind(rawValue: String($0)) }) else {
            throw Problem.invalid(
                path, "this is no scope of a budget",
                hint: "Write org, or project:, agent:, task:, session:, key: or tag: with a name behind it.")
        }
        self.kind = kind
        guard kind != .org else {
            guard parts.count == 1 else { throw Problem.invalid(path, "there is one organisation: write org") }
            name = ""
            return
        }
        guard parts.count == 2 else { throw Problem.invalid(path, "a name is expected behind \(kind.rawValue):") }
        name = try Fields.checkedName(String(parts[1]), path: path, limits: limits)
    }

    /// A scope from our own store, whose form was checked when it went in.
    public init(stored text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        self.init(parts.first.flatMap { Kind(rawValue: String($0)) } ?? .org, parts.count > 1 ? String(parts[1]) : "")
    }
}

extension BudgetScope: CustomStringConvertible, JSONConvertible, SQLBindable {
    public var description: String { kind == .org ? kind.rawValue : "\(kind.rawValue):\(name)" }
    public var json: JSONValue { .string(description) }
    public var sqlValue: SQLValue { .text(description) }
}
