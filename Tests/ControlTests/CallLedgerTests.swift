import Kernel
import TestSupport
import Testing

@testable import Control

/// The sums are those of the calls, whatever happens to them.
@Suite struct CallLedgerTests {
    /// What a test knows of the sums, counted by itself: calls, dollars, unpriced, lost.
    private struct Book: Equatable {
        var calls: Int64 = 0
        var nanoUSD: Int64 = 0
        var unpriced: Int64 = 0
        var aborted: Int64 = 0
        var tokens: Int64 = 0

        init() {}

        init(_ sums: CostSums) {
            calls = sums[.calls]
            nanoUSD = sums[.nanoUSD]
            unpriced = sums[.unpriced]
            aborted = sums[.abortedNanoUSD]
            tokens = sums.tokens
        }

        mutating func add(_ call: Call, _ cost: Int64?) {
            calls += 1
            nanoUSD += cost ?? 0
            unpriced += cost == nil ? 1 : 0
            aborted += call.status == .done ? 0 : cost ?? 0
            for member in call.usage.buckets.object?.members ?? [] { tokens += member.value.int ?? 0 }
        }
    }

    private static func names(_ call: Call, _ dimension: CostDimension) -> [String] {
        switch dimension {
        case .agent: [call.agent ?? ""]
        case .project: [call.project ?? ""]
        case .model: [call.model]
        case .task: call.taskID.map { [$0] } ?? []
        case .tag: call.tags
        case .day: [String(call.startedAt.rfc3339.prefix(10))]
        }
    }

    @Test("Sums equal what was recorded, priced anew and forgotten", arguments: TestEngine.available, [1, 2, 3])
    func random(_ engine: TestEngine, _ seed: UInt64) async throws {
        try await CallFixture.on(engine, retentionDays: 3) { fixture in
            let dice = SeededEntropy(seed: seed)
            var made: [(call: Call, cost: Int64?)] = []
            for _ in 0..<40 {
                switch dice.int(in: 0...9) {
                case 0...5:
                    var batch = (0..<dice.int(in: 1...20)).map { _ in draw(fixture, dice) }
                    made += batch.map { ($0, $0.cost?.nanoUSD) }
                    // Some come again, as after a crash: those of the last days, as older ones are forgotten.
                    let recent = made.filter { fixture.world.now - $0.call.startedAt < .hours(24) }
                    if let again = recent.first { batch.append(again.call) }
                    try await fixture.record(batch.shuffledBy(dice))
                case 6: fixture.time.advance(by: .hours(Int64(dice.int(in: 1...30))))
                case 7: try await CallLoops(service: fixture.calls, storage: fixture.storage).forget()
                default:
                    let price = Int64(dice.int(in: 1...9))
                    let days = (CostDay(fixture.world.now - .hours(48)), CostDay(fixture.world.now))
                    _ = try await fixture.calls.reprice(
                        since: days.0, until: days.1, by: CallFixture.operatorKey, storage: fixture.storage
                    ) { call in call.model == "large" ? nil : CallCost(nanoUSD: price * call.usage.tokens.total) }
                    for index in made.indices where made[index].call.model != "large" {
                        let call = made[index].call
                        guard CostDay(call.startedAt) >= days.0 else { continue }
                        made[index].cost = price * call.usage.tokens.total
                    }
                }
            }
            for dimension in CostDimension.allCases {
                var books: [String: Book] = [:]
                for (call, cost) in made {
                    for name in Self.names(call, dimension) { books[name, default: Book()].add(call, cost) }
                }
                let report = try await fixture.report(by: dimension, limit: 1_000)
                let found = Dictionary(uniqueKeysWithValues: report.rows.map { ($0.name ?? "", Book($0.sums)) })
                #expect(found == books, "\(dimension)")
            }
            let cutoff = fixture.world.now - .hours(72)
            let oldest = try await fixture.list(limit: 10_000).last?.startedAt
            try await CallLoops(service: fixture.calls, storage: fixture.storage).forget()
            let left = try await fixture.list(limit: 10_000)
            #expect(left.count == made.filter { $0.call.startedAt >= cutoff }.count, "\(String(describing: oldest))")
            for call in left { #expect(call.cost?.nanoUSD == made.first { $0.call.id == call.id }?.cost) }
        }
    }

    private func draw(_ fixture: CallFixture, _ dice: SeededEntropy) -> Call {
        fixture.call { call in
            call.agent = dice.pick(["writer", "reader", nil])
            call.project = dice.pick(["books", "films", nil])
            call.taskID = dice.pick(["task_1", "task_2", nil])
            call.model = dice.pick(["small", "large"])
            call.status = dice.pick([.done, .done, .failed, .canceled])
            call.tags = dice.pick([[], ["night"], ["night", "day"]])
            call.usage.buckets = [
                "input": .int(Int64(dice.int(in: 1...50))), "output": .int(Int64(dice.int(in: 0...9))),
            ]
            call.cost = dice.pick([nil, CallCost(nanoUSD: Int64(dice.int(in: 0...5_000)))])
        }
    }

    // MARK: Retention

    @Test("Old calls go, a bounded number at once; what they cost stays", arguments: TestEngine.available)
    func retention(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine, retentionDays: 1) { fixture in
            let count = CallService.purgeMax + 20
            try await fixture.record((0..<count).map { _ in fixture.call { $0.tags = ["night"] } })
            fixture.time.advance(by: .hours(24))
            try await fixture.record(fixture.call())
            func purge() async throws -> Int {
                try await fixture.storage.write { [calls = fixture.calls] in try calls.purge(in: $0) }
            }
            #expect(try await purge() == 0)
            fixture.time.advance(by: .milliseconds(1))
            #expect(try await purge() == CallService.purgeMax)
            #expect(try await purge() == 20)
            #expect(try await purge() == 0)
            #expect(try await fixture.list(limit: 1_000).count == 1)
            var tagged = CallFilter()
            tagged.tag = "night"
            #expect(try await fixture.list(tagged).isEmpty)
            let tags = try await fixture.storage.read { try $0.rows("SELECT tag FROM call_tags").count }
            #expect(tags == 0)
            #expect(try await fixture.report(by: .tag).rows.map(\.sums[.calls]) == [Int64(count)])
        }
    }

    @Test("The loop forgets in as many commits as it takes")
    func loop() async throws {
        try await CallFixture.on(.sqlite, retentionDays: 1) { fixture in
            try await fixture.record((0..<CallService.purgeMax * 2 + 1).map { _ in fixture.call() })
            fixture.time.advance(by: .hours(25))
            let loops = CallLoops(service: fixture.calls, storage: fixture.storage).loops
            #expect(loops.map(\.name) == ["calls.retention"])
            try await loops[0].body()
            #expect(try await fixture.list(limit: 2_000).isEmpty)
        }
    }

    // MARK: Pricing anew

    @Test("Attempts still add up to the cost when it was priced anew")
    func repricedAttempts() async throws {
        try await CallFixture.on(.sqlite) { fixture in
            let call = fixture.call { call in
                call.cost = CallCost(nanoUSD: 3)
                call.attempts = [
                    CallAttempt(target: "a", startedAt: call.startedAt, failure: "cut", costNanoUSD: 1),
                    CallAttempt(target: "b", startedAt: call.startedAt, failure: "silent"),
                    CallAttempt(target: "b", startedAt: call.startedAt, costNanoUSD: 2),
                    CallAttempt(target: "c", startedAt: call.startedAt, failure: "server_error", costNanoUSD: 0),
                ]
            }
            try await fixture.record(call)
            let day = CostDay(fixture.world.now)
            _ = try await fixture.calls.reprice(
                since: day, until: day, by: CallFixture.operatorKey, storage: fixture.storage
            ) { _ in CallCost(nanoUSD: 100) }
            #expect(try await fixture.kept(call.id).attempts.map(\.costNanoUSD) == [33, nil, 67, 0])
        }
    }

    @Test("A new price moves sums, and keeps what was booked", arguments: TestEngine.available)
    func repricing(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let priced = fixture.call { call in
                call.cost = CallCost(nanoUSD: 1_000, priceFrom: "2026-01-01")
                call.attempts = [
                    CallAttempt(target: "a", startedAt: call.startedAt, failure: "cut", costNanoUSD: 250),
                    CallAttempt(target: "b", startedAt: call.startedAt, costNanoUSD: 750),
                ]
                call.tags = ["night"]
            }
            let unknown = fixture.call { $0.cost = nil }
            let hopeless = fixture.call { call in
                call.cost = nil
                call.model = "odd"
            }
            try await fixture.record(priced, unknown, hopeless)
            let day = CostDay(fixture.world.now)
            func reprice(_ price: CallCost) async throws -> CallRepricing {
                try await fixture.calls.reprice(
                    since: day, until: day, by: CallFixture.operatorKey, storage: fixture.storage
                ) { $0.model == "odd" ? nil : price }
            }
            let first = try await reprice(CallCost(nanoUSD: 3_000, priceFrom: "2026-06-01"))
            #expect(
                first.json.text
                    == #"{"calls":3,"changed":2,"unpriced":1,"nanoUSDBefore":1000,"nanoUSDAfter":6000}"#)
            let kept = try await fixture.kept(priced.id)
            #expect(kept.cost == CallCost(nanoUSD: 3_000, priceFrom: "2026-06-01"))
            #expect(kept.bookedCost == CallCost(nanoUSD: 1_000, priceFrom: "2026-01-01"))
            #expect(kept.repricedAt == fixture.world.now)
            #expect(kept.attempts.map(\.costNanoUSD) == [750, 2_250])
            let found = try await fixture.kept(unknown.id)
            #expect(found.cost?.nanoUSD == 3_000)
            #expect(found.bookedCost == nil)
            #expect(found.repricedAt != nil)
            #expect(try await fixture.kept(hopeless.id) == hopeless)
            // What was booked first stays, however often it is done.
            let second = try await reprice(CallCost(nanoUSD: 2_000, priceFrom: "2026-07-01"))
            #expect(second.changed == 2)
            let again = try await fixture.kept(priced.id)
            #expect(again.bookedCost?.nanoUSD == 1_000)
            #expect(try await reprice(CallCost(nanoUSD: 2_000, priceFrom: "2026-07-01")).changed == 0)
            let report = try await fixture.report(by: .agent)
            #expect(report.total.sums[.nanoUSD] == 4_000)
            #expect(report.total.sums[.unpriced] == 1)
            #expect(report.total.sums[.retryNanoUSD] == 500)
            #expect(try await fixture.report(by: .tag).rows.map(\.sums[.nanoUSD]) == [2_000])
            let acts = try await fixture.storage.read {
                try AuditService(world: .test()).list(after: 0, limit: 10, in: $0).map { "\($0.action) \($0.target)" }
            }
            #expect(acts == Array(repeating: "call.repriced 2026-11-20..2026-11-20", count: 3))
        }
    }

    @Test("More calls than one commit takes, and only those of the days", arguments: TestEngine.available)
    func repricesInBatches(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            try await fixture.record(fixture.call())
            fixture.time.advance(by: .hours(24))
            let count = Int64(CallService.repriceMax * 2)
            try await fixture.record((0..<count).map { _ in fixture.call() })
            let day = CostDay(fixture.world.now)
            fixture.time.advance(by: .hours(24))
            try await fixture.record(fixture.call())
            let report = try await fixture.calls.reprice(
                since: day, until: day, by: CallFixture.operatorKey, storage: fixture.storage
            ) { _ in CallCost(nanoUSD: 1) }
            #expect(report.calls == count)
            #expect(report.changed == count)
            #expect(try await fixture.report(by: .day).rows.map(\.sums[.nanoUSD]) == [1_000, count, 1_000])
        }
    }
}

extension Array {
    fileprivate func shuffledBy(_ dice: SeededEntropy) -> [Element] {
        var generator = dice
        return shuffled(using: &generator)
    }
}
