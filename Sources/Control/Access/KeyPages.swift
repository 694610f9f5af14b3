import Kernel

/// The keys: made, listed and revoked by admins.
public struct KeyPages: Sendable {
    let shell: PageShell
    let storage: any Storage
    let access: AccessService

    private static let keysMax = 500

    public init(shell: PageShell, storage: any Storage, access: AccessService) {
        self.shell = shell
        self.storage = storage
        self.access = access
    }

    public var routes: [Route] {
        [shell.route("/keys", PagePlace.keys.permission, "The keys", handler: show)]
    }

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let after = request.queryValue("after").flatMap { $0.isEmpty ? nil : $0 }
        let keys = try await storage.read { try access.list(after: after, limit: Self.keysMax, in: $0) }
        let inForce = keys.count { $0.revokedAt == nil }
        let view = KeyListView(
            subtitle: "\(inForce) in force", roles: Self.roles,
            keys: keys.map { KeyRowView($0, now: now) },
            pager: PagerView(
                after: after, next: keys.count == Self.keysMax ? keys.last?.id.text : nil, of: "/keys"))
        return try await shell.page(
            "Keys", at: .keys, template: "keys", view: view, topics: ["key"], request: request)
    }

    private static let roles = [
        KeyListView.Choice(name: "operator", summary: "runs the fleet"),
        KeyListView.Choice(name: "agent", summary: "one agent's heartbeats and tasks"),
        KeyListView.Choice(name: "viewer", summary: "reads everything, changes nothing"),
        KeyListView.Choice(name: "ingest", summary: "sends events and heartbeats"),
        KeyListView.Choice(name: "admin", summary: "everything"),
    ]
}

struct KeyListView: PageView {
    struct Choice: PageView {
        let name: String
        let summary: String
    }

    let subtitle: String
    let roles: [Choice]
    let keys: [KeyRowView]
    let pager: PagerView
}

/// A key as a row.
struct KeyRowView: PageView {
    let id: String
    let name: String
    let role: String
    let state: String
    let agent: LinkView?
    let created: TimeView
    let used: TimeView?
    let isRevoked: Bool
    let apiPath: String

    init(_ key: AccessKey, now: Timestamp) {
        id = key.id.text
        name = key.name
        role = key.role.rawValue
        state = key.revokedAt == nil ? "open" : "canceled"
        agent = .agent(key.agent)
        created = .ago(key.createdAt, now: now)
        used = .ago(key.lastUsedAt, now: now)
        isRevoked = key.revokedAt != nil
        apiPath = "/api/v1/keys/\(PagePath.encoded(key.id.text))"
    }
}
