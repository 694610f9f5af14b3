import Kernel

/// The only SQL on roll-outs.
struct BundleTrialStore: Sendable {
    /// One task that was given to a version.
    struct Given: Sendable, Equatable {
        enum State: String, Sendable {
            /// Its attempt has not ended, or nobody has looked since.
            case open
            case counted
            /// Its attempt ended without saying anything of the version.
            case void
        }

        let task: TaskID
        let fence: Int64
        /// The step that ran when it began.
        let step: Int
        let isNew: Bool
        let share: Double
        /// Whether it was counted as begun.
        let isBegun: Bool
        let state: State
    }

    // MARK: Roll-outs

    func insert(_ trial: BundleTrial, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO bundle_rollouts (id, version, unit, state, record, cost_limit, author, message, reason,
              created_at, updated_at, ended_at)
            VALUES (\(trial.id), \(trial.version), \(trial.unit.rawValue), \(trial.record.state.rawValue),
              \(trial.record.json), \(trial.costLimit), \(trial.author), \(trial.message), \(trial.reason),
              \(trial.record.startedAt), \(trial.updatedAt), \(trial.endedAt))
            """)
        for (place, member) in trial.members.enumerated() {
            try transaction.run(
                """
                INSERT INTO bundle_rollout_agents (rollout, place, agent, stable)
                VALUES (\(trial.id), \(Int64(place)), \(member.agent), \(member.stable))
                """)
        }
    }

    func save(_ trial: BundleTrial, in transaction: Transaction) throws {
        try transaction.run(
            """
            UPDATE bundle_rollouts SET state = \(trial.record.state.rawValue), record = \(trial.record.json),
              reason = \(trial.reason), updated_at = \(trial.updatedAt), ended_at = \(trial.endedAt)
            WHERE id = \(trial.id)
            """)
    }

    /// `nil` where there is none, or none that this version of Reeve can read.
    func trial(_ id: String, in transaction: Transaction) throws -> BundleTrial? {
        try transaction.first("SELECT * FROM bundle_rollouts WHERE id = \(id)").flatMap { try full($0, transaction) }
    }

    /// The one that an agent is in, or else the latest that it had a part in.
    func current(_ agent: Agent, in transaction: Transaction) throws -> BundleTrial? {
        if let id = agent.configRollout { return try trial(id, in: transaction) }
        let row = try transaction.first(
            "SELECT rollout FROM bundle_rollout_agents WHERE agent = \(agent.name) ORDER BY rollout DESC LIMIT 1")
        return try row.flatMap { try trial($0.text("rollout"), in: transaction) }
    }

    func open(limit: Int, in transaction: Transaction) throws -> [String] {
        try transaction.rows(
            "SELECT id FROM bundle_rollouts WHERE ended_at IS NULL ORDER BY id LIMIT \(limit)"
        ).map { $0.text("id") }
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(page: Page, in transaction: Transaction) throws -> [BundleTrial] {
        // Behind all ids: `g` follows the last hexadecimal digit.
        let before = page.after ?? "\(BundleTrial.idPrefix)_g"
        return try transaction.rows(
            "SELECT * FROM bundle_rollouts WHERE id < \(before) ORDER BY id DESC LIMIT \(page.limit + 1)"
        ).compactMap { try full($0, transaction) }
    }

    /// Roll-outs that took a version back from an agent, by version; of several, the latest.
    func takenBack(
        of agent: String, _ versions: [String], in transaction: Transaction
    ) throws -> [String: BundleVersion.TakenBack] {
        guard !versions.isEmpty else { return [:] }
        let rows = try transaction.rows(
            """
            SELECT r.id, r.version, r.reason, r.ended_at FROM bundle_rollout_agents a
            JOIN bundle_rollouts r ON r.id = a.rollout
            WHERE a.agent = \(agent) AND r.state = 'taken_back' AND r.version IN \(list: versions) ORDER BY r.id
            """)
        return Dictionary(
            rows.map { row in
                (
                    row.text("version"),
                    BundleVersion.TakenBack(
                        rollout: row.text("id"), reason: row.optionalText("reason") ?? "",
                        at: row.optionalTime("ended_at"))
                )
            }, uniquingKeysWith: { _, last in last })
    }

    private func full(_ row: StoredRow, _ transaction: Transaction) throws -> BundleTrial? {
        let id: Identifier<BundleTrial> = row.id("id")
        guard let unit = BundleTrial.Unit(rawValue: row.text("unit")),
            let record = BundleRollout(row.json("record"))
        else { return nil }
        let members = try transaction.rows(
            "SELECT agent, stable FROM bundle_rollout_agents WHERE rollout = \(id) ORDER BY place"
        ).map { BundleTrial.Member($0.text("agent"), stable: $0.text("stable")) }
        return BundleTrial(
            id: id, version: row.text("version"), unit: unit, members: members,
            costLimit: row.optionalInt("cost_limit"), author: row.text("author"), message: row.text("message"),
            record: record, updatedAt: row.time("updated_at"), endedAt: row.optionalTime("ended_at"),
            reason: row.optionalText("reason"))
    }

    // MARK: Units

    func given(_ task: TaskID, of rollout: Identifier<BundleTrial>, in transaction: Transaction) throws -> Given? {
        try transaction.first(
            "SELECT * FROM bundle_rollout_units WHERE rollout = \(rollout) AND task_id = \(task)"
        ).map(Self.given)
    }

    /// Keeps that a task is given to a version, or that another attempt of it counts in place of one that said nothing.
    func keep(_ given: Given, of rollout: Identifier<BundleTrial>, in transaction: Transaction) throws {
        try transaction.run(
            """
            INSERT INTO bundle_rollout_units (rollout, task_id, fence, step, is_new, share, is_begun, state)
            VALUES (\(rollout), \(given.task), \(given.fence), \(Int64(given.step)), \(given.isNew), \(given.share),
              \(given.isBegun), \(given.state.rawValue))
            ON CONFLICT (rollout, task_id) DO UPDATE SET fence = excluded.fence, step = excluded.step,
              is_new = excluded.is_new, share = excluded.share, is_begun = excluded.is_begun, state = excluded.state
            """)
    }

    /// Units whose attempt has not been seen to end, behind one of them.
    func openUnits(
        of rollout: Identifier<BundleTrial>, after: String, limit: Int, in transaction: Transaction
    ) throws -> [Given] {
        try transaction.rows(
            """
            SELECT * FROM bundle_rollout_units WHERE rollout = \(rollout) AND state = 'open' AND task_id > \(after)
            ORDER BY task_id LIMIT \(limit)
            """
        ).map(Self.given)
    }

    /// How many units of a step each version was given.
    func counts(
        step: Int, of rollout: Identifier<BundleTrial>, in transaction: Transaction
    ) throws -> (new: Int, all: Int) {
        let rows = try transaction.rows(
            """
            SELECT is_new, count(*) AS n FROM bundle_rollout_units
            WHERE rollout = \(rollout) AND step = \(Int64(step)) GROUP BY is_new
            """)
        let new = rows.filter { $0.bool("is_new") }.reduce(0) { $0 + Int($1.int("n")) }
        return (new, rows.reduce(0) { $0 + Int($1.int("n")) })
    }

    /// Removes units of roll-outs that have been over for long; what was known from them stays in the record.
    func sweep(endedBefore time: Timestamp, limit: Int, in transaction: Transaction) throws -> Int {
        guard
            let row = try transaction.first(
                """
                SELECT id FROM bundle_rollouts WHERE swept = 0 AND ended_at < \(time) ORDER BY ended_at LIMIT 1
                """)
        else { return 0 }
        let id = row.text("id")
        let removed = try transaction.run(
            """
            DELETE FROM bundle_rollout_units WHERE rollout = \(id) AND task_id IN (
              SELECT task_id FROM bundle_rollout_units WHERE rollout = \(id) LIMIT \(limit))
            """)
        if removed == 0 { try transaction.run("UPDATE bundle_rollouts SET swept = 1 WHERE id = \(id)") }
        return max(1, removed)
    }

    private static func given(_ row: StoredRow) -> Given {
        Given(
            task: row.id("task_id"), fence: row.int("fence"), step: Int(row.int("step")), isNew: row.bool("is_new"),
            share: row.real("share"), isBegun: row.bool("is_begun"),
            state: Given.State(rawValue: row.text("state")) ?? .void)
    }
}
