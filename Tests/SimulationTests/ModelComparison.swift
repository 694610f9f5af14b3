import Kernel

extension TaskModel {
    /// Where the model and the store do not agree on a task, in words; empty where they do.
    func differences(from snapshot: StoreSnapshot) -> [String] {
        var differences: [String] = []
        if Set(items.keys) != Set(snapshot.tasks.keys) {
            differences.append("the model has \(items.count) tasks, the store \(snapshot.tasks.count)")
        }
        for id in order {
            guard let item = items[id], let row = snapshot.tasks[id] else { continue }
            for (name, expected, found) in Self.facts(item, row, snapshot.holds[id] ?? []) where expected != found {
                differences.append("\(id) has \(name) \(found), and should have \(expected)")
            }
        }
        return differences
    }

    private static func facts(
        _ item: Item, _ row: StoreSnapshot.Record, _ holds: Set<String>
    ) -> [(name: String, expected: String, found: String)] {
        func time(_ column: String) -> String { row.optionalInt(column).map(String.init) ?? "-" }
        func time(_ value: Int64?) -> String { value.map(String.init) ?? "-" }
        var facts: [(String, String, String)] = [
            ("state", item.state, row.text("state")), ("fence", "\(item.fence)", "\(row.int("fence"))"),
            ("attempts", "\(item.attempts)", "\(row.int("attempts"))"),
            ("lease losses", "\(item.leaseLosses)", "\(row.int("lease_losses"))"),
            ("review rounds", "\(item.reviewRounds)", "\(row.int("review_rounds"))"),
        ]
        guard !item.isTerminal else { return facts }
        facts += [
            ("holds", "\(item.holds.sorted())", "\(holds.filter { $0 != "concurrency_key" }.sorted())"),
            ("lease end", time(item.leaseEnd), time("lease_expires_at")),
            ("attempt end", time(item.attemptEnd), time("attempt_deadline")),
            ("progress end", time(item.progressEnd), time("progress_deadline")),
            ("stop end", time(item.stopEnd), time("stop_deadline")),
            ("wait end", time(item.wait?.until), time("wait_until")),
            ("pinned agent", item.pinned ?? "-", row.optionalText("pinned_agent") ?? "-"),
        ]
        if item.isLeased { facts.append(("owner", item.owner ?? "-", row.text("owner"))) }
        if item.state == "scheduled" {
            facts.append(("time", time(item.scheduledFor), time("scheduled_for")))
        }
        if item.state == "held" { facts.append(("reason", item.reason ?? "-", row.text("reason"))) }
        if item.state == "ready" {
            facts.append(("preferred agent", item.preferred ?? "-", row.optionalText("preferred_agent") ?? "-"))
        }
        return facts
    }
}
