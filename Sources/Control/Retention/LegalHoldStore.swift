import Kernel
import Telemetry

/// The only SQL on legal holds. A hold that was lifted stays, to be read.
struct LegalHoldStore: Sendable {
    func insert(_ hold: LegalHold, in transaction: Transaction) throws {
        var (since, until): (Int64?, Int64?)
        if case .times(let times) = hold.target { (since, until) = (times.lowerBound, times.upperBound) }
        try transaction.run(
            """
            INSERT INTO telemetry_holds (id, kind, target, since_at, until_at, reason, created_at, created_by)
            VALUES (\(hold.id), \(hold.kind), \(hold.text), \(since), \(until), \(hold.reason), \(hold.createdAt),
              \(hold.createdBy))
            """)
    }

    func lift(
        _ id: Identifier<LegalHold>, at time: Timestamp, by actor: String, in transaction: Transaction
    ) throws {
        try transaction.run(
            """
            UPDATE telemetry_holds SET lifted_at = \(time), lifted_by = \(actor)
            WHERE id = \(id) AND lifted_at IS NULL
            """)
    }

    func hold(_ id: Identifier<LegalHold>, in transaction: Transaction) throws -> LegalHold? {
        try transaction.first("SELECT * FROM telemetry_holds WHERE id = \(id)").flatMap(hold)
    }

    func active(in transaction: Transaction) throws -> [LegalHold] {
        try transaction.rows(
            "SELECT * FROM telemetry_holds WHERE lifted_at IS NULL ORDER BY id LIMIT \(LegalHold.activeMax)"
        ).compactMap(hold)
    }

    /// Holds that have a text in what they are on, or in their reason.
    func count(having text: String, in transaction: Transaction) throws -> Int64 {
        try transaction.first(
            """
            SELECT count(*) AS n FROM telemetry_holds
            WHERE replace(target, \(text), '') <> target OR replace(reason, \(text), '') <> reason
            """)?.int("n") ?? 0
    }

    func activeCount(in transaction: Transaction) throws -> Int64 {
        try transaction.first("SELECT count(*) AS n FROM telemetry_holds WHERE lifted_at IS NULL")?.int("n") ?? 0
    }

    /// The newest first, one more than the page's limit where there are more.
    func list(page: Page, in transaction: Transaction) throws -> [LegalHold] {
        let after = page.after ?? "~"
        return try transaction.rows(
            "SELECT * FROM telemetry_holds WHERE id < \(after) ORDER BY id DESC LIMIT \(page.limit + 1)"
        ).compactMap(hold)
    }

    private func hold(_ row: StoredRow) -> LegalHold? {
        let text = row.text("target")
        let target: TelemetryHold.Target? =
            switch row.text("kind") {
            case "correlationId": .correlation(text)
            case "traceId": TraceID(text).map { .trace($0) }
            case "agent": .agent(text)
            case "subject": .subject(text)
            default: .times(row.int("since_at")..<row.int("until_at"))
            }
        return target.map { target in
            LegalHold(
                id: row.id("id"), target: target, reason: row.text("reason"), createdAt: row.time("created_at"),
                createdBy: row.text("created_by"), liftedAt: row.optionalTime("lifted_at"),
                liftedBy: row.optionalText("lifted_by"))
        }
    }
}
