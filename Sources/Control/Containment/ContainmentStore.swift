import Kernel
import Telemetry

/// The only SQL on containments, their steps, and what they hold.
struct ContainmentStore: Sendable {
    func insert(_ containment: Containment, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO containments (id, incident_id, origin, name, mode, key, state, reason, proposed_by, decided_by,
              created_at, decided_at, expires_at, due_at)
            VALUES (\(containment.id), \(containment.incidentID), \(containment.origin.rawValue), \(containment.name),
              \(containment.mode?.rawValue), \(containment.key), \(containment.state.rawValue),
              \(containment.reason), \(containment.proposedBy), \(containment.decidedBy), \(containment.createdAt),
              \(containment.decidedAt), \(containment.expiresAt), \(Self.due(containment)))
            """)
        for step in containment.steps {
            try transaction.run(
                """
                INSERT INTO containment_steps (containment_id, number, action, parameters, state, targets, outcomes)
                VALUES (\(containment.id), \(Int64(step.number)), \(step.order.action.rawValue),
                  \(step.order.parameters), \(step.state.rawValue), '[]', '[]')
                """)
        }
    }

    /// When something is to be done about it: `nil` where somebody else has to do something first.
    private static func due(_ containment: Containment) -> Timestamp? {
        switch containment.state {
        case .asked: containment.expiresAt
        case .acting, .reversing: containment.decidedAt ?? containment.createdAt
        default: nil
        }
    }

    /// Writes how it stands; its steps stay. A run that waits for it is woken.
    func save(_ containment: Containment, in transaction: Transaction) throws {
        if containment.origin == .runbook { try RunbookService.wake(containment, in: transaction) }
        try transaction.run(
            """
            UPDATE containments SET state = \(containment.state.rawValue), reason = \(containment.reason),
              decided_by = \(containment.decidedBy), reversed_by = \(containment.reversedBy),
              decided_at = \(containment.decidedAt),
              expires_at = \(containment.expiresAt), ended_at = \(containment.endedAt),
              over_at = \(containment.overAt), released_at = \(containment.releasedAt),
              due_at = \(Self.due(containment)), failures = 0
            WHERE id = \(containment.id)
            """)
    }

    func save(
        _ step: ContainmentStep, of id: Identifier<Containment>, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            UPDATE containment_steps SET state = \(step.state.rawValue),
              targets = \(JSONValue.array(step.targets.map(\.json))),
              outcomes = \(JSONValue.array(step.outcomes.map(\.json))), started_at = \(step.startedAt),
              ended_at = \(step.endedAt)
            WHERE containment_id = \(id) AND number = \(Int64(step.number))
            """)
    }

    /// It is another incident's from now on, under a key that is free there.
    func move(
        _ id: Identifier<Containment>, to incident: String, key: String, in transaction: Transaction
    ) throws {
        try transaction.run(
            "UPDATE containments SET incident_id = \(incident), key = \(key) WHERE id = \(id)")
    }

    /// Forgets one with its steps, and what they hold.
    func forget(_ containment: Containment, in transaction: Transaction) throws {
        try releaseAll(of: containment, in: transaction)
        try transaction.run("DELETE FROM containment_steps WHERE containment_id = \(containment.id)")
        try transaction.run("DELETE FROM containments WHERE id = \(containment.id)")
    }

    func containment(_ id: Identifier<Containment>, in transaction: Transaction) throws -> Containment? {
        try transaction.first("SELECT * FROM containments WHERE id = \(id)").map { try full($0, transaction) }
    }

    func containment(key: String, of incident: String, in transaction: Transaction) throws -> Containment? {
        try transaction.first("SELECT * FROM containments WHERE incident_id = \(incident) AND key = \(key)")
            .map { try full($0, transaction) }
    }

    /// In the order in which they were proposed.
    func containments(of incident: String, limit: Int, in transaction: Transaction) throws -> [Containment] {
        try transaction.rows(
            "SELECT * FROM containments WHERE incident_id = \(incident) ORDER BY id LIMIT \(limit)"
        ).map { try full($0, transaction) }
    }

    /// ``Containment/isInForce`` in SQL, as its indexes say it.
    private static let isInForce: SQLText = "state IN ('acting', 'acted', 'reversing') AND released_at IS NULL"

    /// Those in force, of all incidents, before one of them: the newest first.
    static func heldList(before id: String?, limit: Int) -> SQLText {
        let range: SQLText = id.map { "AND id < \($0)" } ?? ""
        return "SELECT * FROM containments WHERE \(sql: isInForce) \(sql: range) ORDER BY id DESC LIMIT \(limit)"
    }

    func held(_ page: Page, in transaction: Transaction) throws -> [Containment] {
        try transaction.rows(Self.heldList(before: page.after, limit: page.limit + 1))
            .map { try full($0, transaction) }
    }

    /// How many are in force, by who thought of them.
    func heldCounts(in transaction: Transaction) throws -> [(origin: String, count: Int64)] {
        try transaction.rows(
            """
            SELECT origin, count(*) AS n FROM containments WHERE \(sql: Self.isInForce)
            GROUP BY origin ORDER BY origin
            """
        ).map { ($0.text("origin"), $0.int("n")) }
    }

    /// Those that acted and are in force still, behind one of them.
    func acted(after id: String, limit: Int, in transaction: Transaction) throws -> [Containment] {
        try transaction.rows(
            """
            SELECT * FROM containments WHERE \(sql: Self.isInForce) AND state = 'acted' AND id > \(id)
            ORDER BY id LIMIT \(limit)
            """
        ).map { try full($0, transaction) }
    }

    func count(of incident: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT count(*) AS n FROM containments WHERE incident_id = \(incident)")?.int("n") ?? 0
    }

    /// What a round looks at, whose time came first.
    static func dueList(at now: Timestamp, limit: Int) -> SQLText {
        "SELECT id, state FROM containments WHERE due_at <= \(now) ORDER BY due_at, id LIMIT \(limit)"
    }

    func due(
        at now: Timestamp, limit: Int, in transaction: Transaction
    ) throws -> [(id: Identifier<Containment>, state: Containment.State)] {
        try transaction.rows(Self.dueList(at: now, limit: limit)).compactMap { row in
            Containment.State(rawValue: row.text("state")).map { (row.id("id"), $0) }
        }
    }

    /// Looks at it again after a while.
    func postpone(
        _ id: Identifier<Containment>, until time: Timestamp, failures: Int64, in transaction: Transaction
    ) throws {
        try transaction.run("UPDATE containments SET due_at = \(time), failures = \(failures) WHERE id = \(id)")
    }

    /// Plans that acted, are in force, and whose condition was not said to be over, behind one of them.
    static func wantedList(after id: String, limit: Int) -> SQLText {
        """
        SELECT id, incident_id FROM containments
        WHERE state = 'acted' AND origin = 'plan' AND over_at IS NULL AND released_at IS NULL AND id > \(id)
        ORDER BY id LIMIT \(limit)
        """
    }

    func wanted(
        after id: String, limit: Int, in transaction: Transaction
    ) throws -> [(id: Identifier<Containment>, incident: String)] {
        try transaction.rows(Self.wantedList(after: id, limit: limit)).map { ($0.id("id"), $0.text("incident_id")) }
    }

    /// Those that Reeve let act by itself since a moment.
    func actedAlone(since time: Timestamp, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            """
            SELECT count(*) AS n FROM containments
            WHERE decided_at >= \(time) AND decided_by = \(Principal.system.actor)
              AND state NOT IN ('proposed', 'asked', 'refused', 'expired')
            """)?.int("n") ?? 0
    }

    private func full(_ row: StoredRow, _ transaction: Transaction) throws -> Containment {
        var containment = Containment(
            id: row.id("id"), incidentID: row.text("incident_id"),
            origin: Containment.Origin(rawValue: row.text("origin")) ?? .person, name: row.text("name"),
            mode: row.optionalText("mode").flatMap(FailureMode.init), key: row.text("key"),
            state: Containment.State(rawValue: row.text("state")) ?? .failed, reason: row.text("reason"),
            proposedBy: row.text("proposed_by"), decidedBy: row.optionalText("decided_by"),
            createdAt: row.time("created_at"), decidedAt: row.optionalTime("decided_at"),
            expiresAt: row.optionalTime("expires_at"), endedAt: row.optionalTime("ended_at"),
            overAt: row.optionalTime("over_at"))
        containment.reversedBy = row.optionalText("reversed_by")
        containment.releasedAt = row.optionalTime("released_at")
        containment.failures = row.int("failures")
        containment.steps = try transaction.rows(
            "SELECT * FROM containment_steps WHERE containment_id = \(containment.id) ORDER BY number"
        ).compactMap(step)
        return containment
    }

    private func step(_ row: StoredRow) -> ContainmentStep? {
        guard let action = ContainmentAction(rawValue: row.text("action")) else { return nil }
        var step = ContainmentStep(
            Int(row.int("number")), ContainmentOrder(stored: action, row.json("parameters")))
        step.state = ContainmentStep.State(rawValue: row.text("state")) ?? .failed
        step.targets = row.json("targets").array?.compactMap(ContainmentTarget.init) ?? []
        step.outcomes = row.json("outcomes").array?.compactMap(ContainmentOutcome.init) ?? []
        step.startedAt = row.optionalTime("started_at")
        step.endedAt = row.optionalTime("ended_at")
        return step
    }

    // MARK: Claims

    /// What one step holds: how it was before, and by what to know that it is still as the step left it.
    struct Claim: Sendable {
        let target: ContainmentTarget
        let step: String
        let before: JSONValue
        let mark: JSONValue
    }

    func claim(
        _ claim: Claim, at now: Timestamp, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            INSERT INTO containment_claims (kind, name, step, before, mark, at)
            VALUES (\(claim.target.kind.rawValue), \(claim.target.name), \(claim.step), \(claim.before),
              \(claim.mark), \(now)) ON CONFLICT (kind, name, step) DO NOTHING
            """)
    }

    func release(_ target: ContainmentTarget, of step: String, in transaction: Transaction) throws {
        try transaction.run(
            """
            DELETE FROM containment_claims
            WHERE kind = \(target.kind.rawValue) AND name = \(target.name) AND step = \(step)
            """)
    }

    /// Lets go of all that a containment holds.
    func releaseAll(of containment: Containment, in transaction: Transaction) throws {
        let keys = containment.steps.map { $0.key(of: containment.id) }
        try transaction.run("DELETE FROM containment_claims WHERE step IN \(list: keys)")
    }

    /// All that one step holds.
    func claims(of step: String, in transaction: Transaction) throws -> [Claim] {
        try transaction.rows("SELECT * FROM containment_claims WHERE step = \(step) ORDER BY kind, name")
            .compactMap(Self.claim)
    }

    private static func claim(_ row: StoredRow) -> Claim? {
        guard let kind = ContainmentTarget.Kind(rawValue: row.text("kind")) else { return nil }
        return Claim(
            target: ContainmentTarget(kind, row.text("name")), step: row.text("step"), before: row.json("before"),
            mark: row.json("mark"))
    }

    /// All that are held on one thing, the oldest first.
    func claims(on target: ContainmentTarget, in transaction: Transaction) throws -> [Claim] {
        try transaction.rows(
            """
            SELECT * FROM containment_claims WHERE kind = \(target.kind.rawValue) AND name = \(target.name)
            ORDER BY at, step
            """
        ).compactMap(Self.claim)
    }

    /// What is held of models: dispatch, breakers, routes.
    func modelClaims(limit: Int, in transaction: Transaction) throws -> [Claim] {
        let kinds = [ContainmentTarget.Kind.dispatch, .breaker, .route]
        return try transaction.rows(
            """
            SELECT * FROM containment_claims WHERE kind IN \(list: kinds.map(\.rawValue))
            ORDER BY at, step LIMIT \(limit)
            """
        ).compactMap(Self.claim)
    }
}
