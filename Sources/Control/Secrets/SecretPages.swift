import Kernel

/// The secrets, and each with its versions and those who have it. Their values are on no page.
public struct SecretPages: Sendable {
    /// Grants that one page shows.
    static let grantsMax = 100
    /// Acts on a secret that its page shows.
    static let actsMax = 30

    let shell: PageShell
    let storage: any Storage
    let service: SecretService
    let rotations: SecretRotationService
    let audit: AuditService

    public init(shell: PageShell, storage: any Storage, rotations: SecretRotationService, audit: AuditService) {
        (self.shell, self.storage, self.audit) = (shell, storage, audit)
        (service, self.rotations) = (rotations.secrets, rotations)
    }

    public var routes: [Route] {
        let permission = PagePlace.secrets.permission
        return [shell.route("/secrets", permission, "Secrets, without their values", handler: list)]
            + ["{scope}/{name}", "{scope}/{owner}/{name}"].map { path in
                shell.route(
                    "/secrets/\(path)", permission, "A secret without its values: versions, grants, holders",
                    handler: show)
            }
    }

    // MARK: The list

    private func list(_ request: APIRequest) async throws -> APIReply {
        let (page, now) = (try request.page(), shell.world.now)
        let scope = try SecretRoutes.scope(request)
        let owner = request.queryValue("owner").flatMap { $0.isEmpty ? nil : $0 }
        let found = try await service.list(scope: scope, owner: owner, page: page, by: request.principal)
        let (shown, next) = page.cut(found) { $0.secret.path.description }
        let isFiltered = scope != nil || owner != nil
        let view = SecretListView(
            fault: service.sealing.fault.map { "\($0.detail) \($0.hint)" }, filters: Self.filters(scope, owner: owner),
            scope: scope?.rawValue, owner: owner ?? "", hasSecrets: !shown.isEmpty,
            secrets: shown.map { SecretRowView($0.secret, $0.holders, now: now) },
            noSecrets: isFiltered
                ? EmptyView(headline: "No secret is like that", explanation: "Choose another scope or owner.")
                : EmptyView(
                    headline: "No secrets yet",
                    explanation: "What agents need to reach others is kept sealed, and given to whom it is granted:",
                    command: "reeve secrets set project/marketing/openai < key.txt"),
            pager: PagerView(after: page.after, next: next) { Self.path(scope, owner, after: $0) })
        return try await shell.page(
            "Secrets", at: .secrets, template: "secrets", view: view, topics: ["secret"], request: request)
    }

    private static func path(_ scope: SecretPath.Scope?, _ owner: String?, after: String? = nil) -> String {
        PagePath.query("/secrets", [("scope", scope?.rawValue), ("owner", owner), ("after", after)])
    }

    private static func filters(_ current: SecretPath.Scope?, owner: String?) -> [FilterView] {
        [FilterView(path: path(nil, owner), label: "All", state: "", isCurrent: current == nil)]
            + SecretPath.Scope.allCases.map { scope in
                // Those of a scope without owners would all be filtered away.
                FilterView(
                    path: path(scope, scope.hasOwner ? owner : nil), label: PageText.label(scope.rawValue), state: "",
                    isCurrent: scope == current)
            }
    }

    // MARK: One secret

    private func show(_ request: APIRequest) async throws -> APIReply {
        let now = shell.world.now
        let path = try SecretRoutes.path(request)
        let found = try await service.describe(path, by: request.principal)
        let rotation = SecretRotationPanel(try await rotations.view(path), "\(SecretRoutes.root)/\(path)")
        let granted = try await service.granted(path, limit: Self.grantsMax + 1)
        let acts = try await storage.read {
            try audit.latest(on: "secret:\(path)", limit: Self.actsMax, in: $0)
        }
        let view = SecretPageView(
            found: found, rotation: rotation, granted: granted, acts: acts, now: now)
        return try await shell.page(
            path.description, at: .secrets, template: "secret", view: view, topics: ["secret"], request: request)
    }
}

// MARK: - Views

struct SecretListView: PageView {
    /// Why nothing can be sealed or opened.
    let fault: String?
    let filters: [FilterView]
    let scope: String?
    let owner: String
    let hasSecrets: Bool
    let secrets: [SecretRowView]
    let noSecrets: EmptyView
    let pager: PagerView
}

/// A secret as a row, and as the head of its page.
struct SecretRowView: PageView {
    let path: String
    let pagePath: String
    let scope: String
    let owner: LinkView?
    let version: String
    /// How old the newest value is.
    let age: TimeView?
    let state: String
    let stateLabel: String
    let due: TimeView?
    let holders: String
    let lastUsed: TimeView?

    init(_ secret: KeptSecret, _ known: [SecretHolder], now: Timestamp) {
        path = secret.path.description
        pagePath = "/secrets/\(path)"
        scope = secret.path.scope.rawValue
        owner = secret.path.owner.map { LinkView(path: PagePath.query("/secrets", [("owner", $0)]), label: $0) }
        version = secret.version == 0 ? "–" : "\(secret.version)"
        age = secret.writtenAt.map { .span($0, now: now) }
        let dueAt = secret.dueAt
        due = .ago(dueAt, now: now)
        (state, stateLabel) =
            switch dueAt {
            case nil: ("scheduled", "No value yet")
            case .some(let time) where time <= now: ("waiting", "Rotation due")
            case .some: ("valid", "In force")
            }
        let more = known.count == KeptSecret.holdersMax ? " or more" : ""
        holders = known.isEmpty ? "nobody" : PageText.plural(known.count, "holder") + more
        lastUsed = .ago(known.compactMap(\.lastUsedAt).max(), now: now)
    }
}

struct SecretPageView: PageView {
    struct Version: PageView {
        let number: String
        let state: String
        let stateLabel: String
        let author: String
        let at: TimeView
        /// What is sent where one of the buttons is pressed.
        let body: String
        let canDelete: Bool
        let canUndelete: Bool
        let canDestroy: Bool

        init(_ version: SecretVersion, newest: Int, now: Timestamp) {
            number = "\(version.number)"
            (state, stateLabel) =
                version.isDestroyed
                ? ("failed", "Destroyed")
                : version.deletedAt != nil
                    ? ("paused", "Deleted")
                    : version.number == newest ? ("valid", "Newest") : ("ready", "Readable")
            author = version.createdBy
            at = .ago(version.createdAt, now: now)
            body = JSONValue.object(JSONObject([.init(name: "versions", value: .list([version.number]))])).text
            canDelete = version.isReadable
            canUndelete = version.deletedAt != nil && !version.isDestroyed
            canDestroy = !version.isDestroyed
        }
    }

    struct Grant: PageView {
        let agent: String
        let agentPath: String
        let revokePath: String
        let by: String
        let at: TimeView

        init(_ grant: SecretGrant, _ api: String, now: Timestamp) {
            agent = grant.agent
            agentPath = PagePath.agent(grant.agent)
            revokePath = "\(api)/grants/\(PagePath.encoded(grant.agent))"
            by = grant.grantedBy
            at = .ago(grant.grantedAt, now: now)
        }
    }

    struct Holder: PageView {
        let actor: String
        let link: LinkView?
        let version: String?
        let isOld: Bool
        let used: TimeView?

        init(_ holder: SecretHolder, newest: Int, now: Timestamp) {
            actor = holder.actor
            link = .agent(holder.agent)
            version = holder.version.map { "\($0)" }
            isOld = holder.version.map { $0 < newest } ?? false
            used = .ago(holder.lastUsedAt, now: now)
        }
    }

    let row: SecretRowView
    let rotation: SecretRotationPanel
    let apiPath: String
    let deletePath: String
    let undeletePath: String
    let destroyPath: String
    let hasVersions: Bool
    let versions: [Version]
    let hasGrants: Bool
    let grants: [Grant]
    let moreGrants: String?
    let hasHolders: Bool
    let holders: [Holder]
    let hasActs: Bool
    let acts: [AuditRowView]
    let facts: [FactView]

    init(
        found: SecretService.SecretDescription, rotation: SecretRotationPanel, granted: [SecretGrant],
        acts: [AuditEntry], now: Timestamp
    ) {
        let (secret, versions, holders) = (found.secret, found.versions, found.holders)
        self.rotation = rotation
        let path = secret.path.description
        let api = "\(SecretRoutes.root)/\(path)"
        row = SecretRowView(secret, holders, now: now)
        apiPath = api
        deletePath = "\(VaultRoutes.root)/delete/\(path)"
        undeletePath = "\(VaultRoutes.root)/undelete/\(path)"
        destroyPath = "\(VaultRoutes.root)/destroy/\(path)"
        hasVersions = !versions.isEmpty
        self.versions = versions.reversed().map { Version($0, newest: secret.version, now: now) }
        hasGrants = !granted.isEmpty
        grants = granted.prefix(SecretPages.grantsMax).map { Grant($0, api, now: now) }
        moreGrants =
            granted.count > SecretPages.grantsMax
            ? "The first \(SecretPages.grantsMax) are shown; GET \(api)/grants has all." : nil
        hasHolders = !holders.isEmpty
        self.holders = holders.map { Holder($0, newest: secret.version, now: now) }
        hasActs = !acts.isEmpty
        self.acts = acts.map { AuditRowView($0, now: now) }
        facts = Self.facts(secret, now: now)
    }

    private static func facts(_ secret: KeptSecret, now: Timestamp) -> [FactView] {
        [
            FactView(name: "Scope", value: secret.path.scope.rawValue),
            FactView(name: "Owner", value: secret.path.owner ?? "none"),
            FactView(name: "Name", value: secret.path.name),
            FactView(name: "Made", time: .ago(secret.createdAt, now: now)),
            FactView(name: "Versions kept", value: "\(secret.versionsMax)"),
            FactView(
                name: "Writing",
                value: secret.isCASRequired ? "only with the version that it replaces" : "at any time"),
        ]
            + secret.custom.members.map { member in
                FactView(name: member.name, value: PageText.clipped(member.value.string ?? member.value.text, 200))
            }
    }
}
