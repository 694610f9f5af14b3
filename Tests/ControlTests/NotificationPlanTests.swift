import Kernel
import TestSupport
import Testing

@testable import Control

/// What is asked for each second is one look into an index, on both engines, however much there is.
@Suite struct NotificationPlanTests {
    static let questions: [(name: String, index: String, text: SQLText)] = [
        ("when to look next", "notification_groups_next", NotificationStore.nextLook(of: "a")),
        ("whether an alert ended lately", "alerts_ended_lately", AlertStore.mark),
        ("silences that ended", "silences_untold", SilenceStore.endsToTell(at: .now, limit: 1)),
        ("whether a page is due", "oncall_notices_due", OnCallStore.hasDue(at: .now)),
        ("whether a step is due", "oncall_escalations_due", OnCallStore.hasDue(at: .now)),
    ]

    @Test("the loops' questions walk past no rows", arguments: TestEngine.available, questions.indices)
    func plan(_ engine: TestEngine, _ index: Int) async throws {
        let question = Self.questions[index]
        let migrations = AlertSchema.migrations + NotificationSchema.migrations + OnCallSchema.migrations
        try await withStorage(engine, migrations: migrations) { storage in
            let lines = try await storage.write { transaction in
                guard engine == .postgres else {
                    return try transaction.rows("EXPLAIN QUERY PLAN" + question.text).map { $0.text("detail") }
                }
                // Of empty tables it would rather read all.
                for setting in ["enable_seqscan", "enable_bitmapscan", "enable_sort"] {
                    try transaction.run(SQLText(stringLiteral: "SET LOCAL \(setting) = off"))
                }
                return try transaction.rows("EXPLAIN" + question.text).map { $0.text("QUERY PLAN") }
            }
            #expect(lines.contains { $0.contains(question.index) }, "\(lines)")
            #expect(!lines.contains { $0.contains("Seq Scan") || $0.contains("Sort") }, "\(lines)")
            let scans = lines.filter { $0.hasPrefix("SCAN") && !$0.contains("USING") && !$0.contains("CONSTANT ROW") }
            #expect(scans.isEmpty, "\(lines)")
        }
    }
}

extension Timestamp {
    fileprivate static var now: Timestamp { Timestamp(microseconds: 1_790_000_000_000_000) }
}
