import Kernel

/// Rules of budgets as people set them. What is spent of them is the vault's.
public struct BudgetService: Sendable {
    /// Budgets at one time: every replica keeps all of them in memory.
    public static let budgetsMax: Int64 = 50_000
    /// Days that past windows are remembered.
    public static let historyDays: Int64 = 400
    /// How long a removed budget's row stays, so that every replica hears of it.
    static let removalKept = Span.hours(24)
    /// Looks at rows and memory before a number is shown that other calls moved meanwhile.
    static let looksMax = 3

    let store = BudgetStore()
    let windows = BudgetWindowStore()
    private let memory: any BudgetMemory
    private let events: Events
    private let audit: AuditService
    let world: World

    public init(memory: any BudgetMemory, events: Events, audit: AuditService, world: World) {
        self.memory = memory
        self.events = events
        self.audit = audit
        self.world = world
    }

    // MARK: Reading

    /// A budget and how it stands, this process's own calls up to this moment included.
    public func view(_ scope: BudgetScope, storage: any Storage) async throws -> BudgetView {
        try await exact { overlay in
            try await storage.read { transaction in
                [try view(budget(scope, in: transaction), overlay, in: transaction)]
            }
        }[0]
    }

    /// By scope; one more than the page's limit, where there are more.
    public func views(
        of kind: BudgetScope.Kind? = nil, page: Page, storage: any Storage
    ) async throws -> [BudgetView] {
        try await exact { overlay in
            try await storage.read { transaction in
                try store.budgets(of: kind, page: page, in: transaction).map { try view($0, overlay, in: transaction) }
            }
        }
    }

    /// Reads rows and lays memory over them, until nothing moved between the two.
    private func exact(
        _ read:
            @escaping @Sendable (@escaping @Sendable ([BudgetWindowKey]) -> BudgetOverlay) async throws
            -> [BudgetView]
    ) async throws -> [BudgetView] {
        let memory = memory
        var keys: [BudgetWindowKey] = []
        var views: [BudgetView] = []
        for _ in 0..<Self.looksMax {
            let before = memory.overlay(keys)
            views = try await read { [keys] asked in asked.allSatisfy(keys.contains) ? before : memory.overlay(asked) }
            keys = views.map { $0.budget.terms.key(at: $0.window.start) }
            let after = memory.overlay(keys)
            if before == after { break }
        }
        return views
    }

    func budget(_ scope: BudgetScope, in transaction: Transaction) throws -> Budget {
        guard let budget = try store.budget(scope, in: transaction) else {
            throw Problem.notFound("budget", scope.description)
        }
        return budget
    }

    private func view(
        _ budget: Budget, _ overlay: ([BudgetWindowKey]) -> BudgetOverlay, in transaction: Transaction
    ) throws -> BudgetView {
        let now = world.now
        let key = budget.terms.key(at: now)
        let overlay = overlay([key])
        let row = try windows.windows(ids: [key.text], in: transaction).first
        var settled = row?.settled ?? .zero
        var held = try windows.grants(windowIDs: [key.text], in: transaction)
            .filter { $0.replicaID != overlay.replica }.reduce(BudgetAmounts.zero) { $0 + $1.held }
        if let own = overlay.windows[key] {
            let synced = try windows.replica(overlay.replica, in: transaction)?.synced ?? 0
            if synced < overlay.reported { settled += own.reported }
            if synced < overlay.next { settled += own.spent }
            held += own.held
        }
        return BudgetView(
            budget: budget, window: budget.period.window(at: now), settled: settled, held: held,
            breaches: row?.breaches ?? 0)
    }

    // MARK: Changing

    /// Makes a scope's budget, or changes it, if it still has the `ETag` that was asked for. What was settled stays:
    /// where the period changes, so much of it counts on as is known to lie in the new window.
    public func put(
        _ scope: BudgetScope, _ draft: BudgetDraft, ifMatch: String?, by principal: Principal,
        in transaction: Transaction
    ) throws -> Budget {
        guard let budget = try store.budget(scope, in: transaction) else {
            try EntityTag.check(ifMatch, against: "", of: "the budget of \(scope)")
            return try create(scope, draft, by: principal, in: transaction)
        }
        try EntityTag.check(ifMatch, against: budget.etag, of: "the budget of \(scope)")
        guard !draft.matches(budget) else { return budget }
        var edited = budget
        edited.limit = draft.limit
        edited.period = draft.period
        edited.mode = draft.mode
        edited.softPercent = draft.softPercent
        edited.version += 1
        edited.updatedAt = world.now
        edited.revision = try store.tick(in: transaction)
        try store.save(edited, in: transaction)
        try carryOver(from: budget, to: edited, in: transaction)
        let data: JSONValue = ["from": Self.words(budget), "to": Self.words(edited)]
        try tell("updated", edited, by: principal, data, in: transaction)
        return edited
    }

    private func create(
        _ scope: BudgetScope, _ draft: BudgetDraft, by principal: Principal, in transaction: Transaction
    ) throws -> Budget {
        let budget = try insert(
            scope, draft, by: principal.actor, whenFull: "Remove budgets of tasks and sessions that are over.",
            in: transaction)
        try tell("created", budget, by: principal, ["to": Self.words(budget)], in: transaction)
        return budget
    }

    func insert(
        _ scope: BudgetScope, _ draft: BudgetDraft, by actor: String, whenFull hint: String,
        in transaction: Transaction
    ) throws -> Budget {
        guard try store.count(in: transaction) < Self.budgetsMax else {
            throw Problem(.conflict, "There are \(Self.budgetsMax) budgets already.", hint: hint)
        }
        let now = world.now
        let budget = Budget(
            id: Identifier(world), scope: scope, limit: draft.limit, period: draft.period, mode: draft.mode,
            softPercent: draft.softPercent, createdAt: now, createdBy: actor, updatedAt: now, version: 1,
            revision: try store.tick(in: transaction))
        try store.insert(budget, in: transaction)
        return budget
    }

    /// Begins the window of a new period with what is known to be spent in it, and lets the marks of a window be
    /// passed anew where its limit was raised above them.
    private func carryOver(from old: Budget, to new: Budget, in transaction: Transaction) throws {
        let key = new.terms.key(at: world.now)
        var entry = BudgetLedger.Entry(key: key, terms: new.terms)
        let row = try windows.windows(ids: [key.text], in: transaction).first
        if let row {
            entry.settled = row.settled
            entry.breaches = row.breaches
            entry.wantedUntil = row.wantedUntil
            entry.softAt = row.softAt
            entry.exhaustedAt = row.exhaustedAt
        }
        if old.period != new.period {
            let window = new.period.window(at: world.now)
            let carried = try windows.settled(
                old.id.text, old.period, from: window.start, to: window.end, in: transaction)
            entry.settled = entry.settled.upper(carried)
        }
        if !new.limit.isReached(new.softPercent, by: entry.settled) { entry.softAt = nil }
        if !entry.isUsedUp { entry.exhaustedAt = nil }
        guard row != nil || !entry.settled.isZero else { return }
        try windows.save(entry, touched: new.revision, in: transaction)
    }

    /// Takes a budget away, with all that was counted for it; the event keeps the sums.
    public func remove(
        _ scope: BudgetScope, ifMatch: String?, by principal: Principal, in transaction: Transaction
    ) throws {
        let budget = try budget(scope, in: transaction)
        try EntityTag.check(ifMatch, against: budget.etag, of: "the budget of \(scope)")
        let key = budget.terms.key(at: world.now)
        let settled = try windows.windows(ids: [key.text], in: transaction).first?.settled ?? .zero
        try drop(budget, revision: store.tick(in: transaction), in: transaction)
        let data: JSONValue = ["from": Self.words(budget), "settled": settled.json]
        try record("removed", budget, by: principal, data, in: transaction)
    }

    func drop(_ budget: Budget, revision: Int64, in transaction: Transaction) throws {
        try windows.deleteWindows(of: budget.id.text, in: transaction)
        try store.remove(budget.id, at: world.now, revision: revision, in: transaction)
        let memory = memory
        transaction.afterCommit { memory.forget(budget.id.text, revision: revision) }
    }

    /// Forgets removed budgets and windows of long ago; returns whether there may be more.
    public func purge(limit: Int, in transaction: Transaction) throws -> Bool {
        let now = world.now
        let budgets = try store.purge(removedBefore: now - Self.removalKept, limit: limit, in: transaction)
        let past = try windows.purgeWindows(
            before: now - .hours(24 * Self.historyDays), limit: limit, in: transaction)
        return budgets == limit || past == limit
    }

    // MARK: Telling

    static func words(_ budget: Budget) -> JSONValue {
        [
            "limit": budget.limit.json, "period": .string(budget.period.rawValue), "mode": .string(budget.mode.text),
            "softPercent": .int(budget.softPercent),
        ]
    }

    private func tell(
        _ verb: String, _ budget: Budget, by principal: Principal, _ data: JSONValue, in transaction: Transaction
    ) throws {
        try record(verb, budget, by: principal, data, in: transaction)
        learn(budget.terms, in: transaction)
    }

    /// This process counts by these terms as soon as they are kept.
    func learn(_ terms: BudgetTerms, in transaction: Transaction) {
        let memory = memory
        transaction.afterCommit { memory.adopt(terms) }
    }

    private func record(
        _ verb: String, _ budget: Budget, by principal: Principal, _ data: JSONValue, in transaction: Transaction
    ) throws {
        var object = JSONObject()
        object["scope"] = budget.scope.json
        for member in data.object?.members ?? [] { object[member.name] = member.value }
        try events.append(
            EventDraft(budget.scope, "budget.\(verb)", actor: principal.actor, .object(object)), in: transaction)
        try audit.record(
            "budget.\(verb)", by: principal, target: "budget:\(budget.scope)", detail: data, in: transaction)
    }
}
