import Control
import Kernel
import TestSupport

@testable import Gateway

extension BudgetSimulation {
    /// A window as its rows have it.
    struct Row {
        var settled = BudgetAmounts.zero
        var granted = BudgetAmounts.zero
    }

    func rows() async throws -> [BudgetWindowKey: Row] {
        try await storage.read { transaction in
            var rows: [BudgetWindowKey: Row] = [:]
            for row in try transaction.rows("SELECT * FROM budget_windows") {
                guard let key = BudgetWindowKey(row.text("id")) else { continue }
                rows[key, default: Row()].settled = Self.amounts(row, "settled")
            }
            for row in try transaction.rows("SELECT * FROM budget_grants") {
                guard let key = BudgetWindowKey(row.text("window_id")) else { continue }
                rows[key, default: Row()].granted += Self.amounts(row, "granted")
            }
            return rows
        }
    }

    /// The invariants, in the rows and in what calls really cost and hold.
    mutating func check() async throws {
        raiseCeilings()
        let used = used()
        usage.append((time.now, used))
        let now = time.now
        usage.removeAll { now - $0.at > .seconds(1) }
        let rows = try await rows()
        for (key, ceiling) in ceilings {
            let cap = ceiling + (excess[key] ?? .zero)
            if let row = rows[key], let unit = (row.settled + row.granted).limited(by: ceiling).unit(above: cap) {
                throw fail("\(key.text): settled \(row.settled) and lent \(row.granted) exceed \(cap) in \(unit)")
            }
            if let amounts = used[key], let unit = amounts.limited(by: ceiling).unit(above: cap) {
                throw fail("\(key.text): calls cost and hold \(amounts), which exceeds \(cap) in \(unit)")
            }
            let booked = replicas.reduce(BudgetAmounts.zero) { $0 + ($1.booked[key] ?? .zero) }
            if (rows[key]?.settled ?? .zero) != booked {
                throw fail("\(key.text): the row says \(rows[key]?.settled ?? .zero), and \(booked) was reported")
            }
        }
        if let lie = lies.first { throw fail("a refusal that is not true: \(lie)") }
    }

    /// Lets everything end: calls, replicas that are down, waits. Then the rows must hold what calls cost.
    mutating func finish() async throws {
        note("finish")
        for index in replicas.indices { replicas[index].silentUntil = time.now }
        for _ in 0..<4 {
            for index in replicas.indices {
                for id in replicas[index].calls.keys.sorted() {
                    guard let call = replicas[index].calls[id] else { continue }
                    end(index, id, call.held)
                    replicas[index].book?.settle(call.hold, call.held)
                    collect(index)
                }
            }
            try await quiet(.seconds(2))
        }
        for index in replicas.indices {
            replicas[index].book?.tighten()
            try await round(index, withFaults: false)
            guard let counts = replicas[index].book?.counts, counts == (0, 0) else {
                throw fail("\(replicas[index].name) still has calls")
            }
        }
        try await check()
        let rows = try await rows()
        for (key, row) in rows {
            guard row.granted.isZero else { throw fail("\(key.text): \(row.granted) is still lent") }
            guard ceilings[key] != nil else { continue }
            let cost = replicas.reduce(BudgetAmounts.zero) { $0 + ($1.cost[key] ?? .zero) }
            guard row.settled == cost else {
                throw fail("\(key.text): settled \(row.settled), and calls cost \(cost)")
            }
        }
    }

    /// Time in which nothing goes wrong.
    private mutating func quiet(_ span: Span) async throws {
        let end = time.now + span
        while time.now < end {
            time.advance(by: .milliseconds(100))
            raiseCeilings()
            for index in replicas.indices {
                replicas[index].silentUntil = min(replicas[index].silentUntil, time.now)
                try await round(index, withFaults: false)
            }
            try await writeOff()
            try await check()
        }
    }
}
