import Kernel
import TestSupport
import Testing

@testable import Control

@Suite struct CallStoreTests {
    /// Every field with a value of its own.
    private static func full(_ fixture: CallFixture) -> Call {
        let now = fixture.world.now
        return Call(
            id: Identifier(fixture.world), status: .failed, startedAt: now, agent: "writer", project: "books",
            taskID: "task_1", session: "s-1", run: "run-1", keyID: "key_1", tags: ["night", "a/b"],
            correlationID: "corr-1", door: "anthropic.messages", model: "large", tier: "premium", isStream: true,
            target: "backup/large-2026-02-02", answeredModel: "large-2026-02-02",
            attempts: [
                CallAttempt(
                    target: "main/large-2026-02-02", startedAt: now, durationMs: 30, status: 500,
                    failure: "server_error", costNanoUSD: nil),
                CallAttempt(
                    target: "backup/large-2026-02-02", startedAt: now + .milliseconds(31), durationMs: 70, status: 200,
                    failure: "cut", costNanoUSD: 750),
            ],
            usage: CallUsage(
                raw: ["input_tokens": 7, "output_tokens": 3], buckets: ["input": 7, "output": 3], isEstimated: true),
            cost: CallCost(nanoUSD: 750, priceFrom: "2026-02-01"), savedNanoUSD: 11,
            holds: [CallHold(scope: "agent:writer", nanoUSD: 900, tokens: nil)],
            refusal: CallRefusal(scope: "org", code: "budget_exceeded", detail: "no more"), failure: "cut",
            httpStatus: 200, cache: "miss", durationMs: 101, ttftMs: 44, overheadMicroseconds: 85, requestBytes: 1_234,
            responseBytes: 567, bundle: "release-7",
            decision: ["candidates": [["target": "main/large-2026-02-02", "breaker": "closed"]]])
    }

    @Test("Everything that a call has comes back", arguments: TestEngine.available)
    func fields(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let call = Self.full(fixture)
            #expect(try await fixture.record(call) == 1)
            #expect(try await fixture.kept(call.id) == call)
            let bare = Call(
                id: Identifier(fixture.world), status: .canceled, startedAt: fixture.world.now, door: "", model: "")
            try await fixture.record(bare)
            #expect(try await fixture.kept(bare.id) == bare)
        }
    }

    @Test("A call is kept and summed up once, however often it comes", arguments: TestEngine.available)
    func idempotent(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let (first, second) = (fixture.call(), fixture.call { $0.tags = ["night"] })
            #expect(try await fixture.record(first, first) == 1)
            var changed = first
            changed.cost = CallCost(nanoUSD: 5)
            #expect(try await fixture.record(changed, second, second) == 1)
            #expect(try await fixture.kept(first.id) == first)
            let report = try await fixture.report(by: .tag)
            #expect(report.total.sums[.calls] == 2)
            #expect(report.total.sums[.nanoUSD] == 2_000)
            #expect(report.rows.map(\.sums[.calls]) == [1])
        }
    }

    @Test("Twice in one transaction is once", arguments: TestEngine.available)
    func twiceInOneTransaction(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let call = fixture.call()
            let counts = try await fixture.storage.write { [calls = fixture.calls] transaction in
                [try calls.record([call], in: transaction), try calls.record([call], in: transaction)]
            }
            #expect(counts == [1, 0])
            #expect(try await fixture.report(by: .agent).total.sums[.calls] == 1)
        }
    }

    @Test("More calls than one look-up takes", arguments: TestEngine.available)
    func manyAtOnce(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture async throws in
            let calls: [Call] = (0..<600).map { _ in fixture.call() }
            #expect(try await fixture.record(Array(calls.prefix(300))) == 300)
            #expect(try await fixture.record(calls) == 300)
            #expect(try await fixture.report(by: .model).total.sums[.calls] == 600)
        }
    }

    @Test("A call that runs is not kept", arguments: TestEngine.available)
    func running(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture async throws in
            #expect(try await fixture.record(fixture.call { $0.status = .running }) == 0)
            #expect(try await fixture.list().isEmpty)
        }
    }

    private struct Refused: Error {}

    @Test("Records fall with the transaction of their money", arguments: TestEngine.available)
    func undone(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture async throws in
            let call = fixture.call { $0.tags = ["night"] }
            await #expect(throws: Refused.self) {
                try await fixture.storage.write { [calls = fixture.calls] transaction in
                    try calls.record([call], in: transaction)
                    throw Refused()
                }
            }
            #expect(try await fixture.list().isEmpty)
            #expect(try await fixture.report(by: .tag).total.sums.isZero)
            #expect(try await fixture.record(call) == 1)
        }
    }

    @Test("What agents and providers send is cut to size and kept", arguments: TestEngine.available)
    func bounds(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            var deep: JSONValue = 1
            for _ in 0..<200 { deep = [deep] }
            let long = String(repeating: "é", count: 100_000)
            let call = fixture.call { call in
                call.agent = long
                call.project = "a\0b"
                call.taskID = long
                call.session = long
                call.model = long + "\0"
                call.tags = (0..<100).map { "\($0 % 40)\0" } + [""]
                call.attempts = Array(
                    repeating: CallAttempt(
                        target: long, startedAt: fixture.world.now, durationMs: -5, failure: long, costNanoUSD: .max),
                    count: 1_000)
                call.holds = Array(repeating: CallHold(scope: long, nanoUSD: .min, tokens: .max), count: 1_000)
                call.refusal = CallRefusal(scope: long, code: long, detail: long)
                call.usage = CallUsage(raw: deep, buckets: ["input": .int(.max), "output": -7, "odd": "x"])
                call.cost = CallCost(nanoUSD: .max, priceFrom: long)
                call.savedNanoUSD = .min
                call.durationMs = .min
                call.requestBytes = .max
                call.decision = ["text": .string(String(repeating: "x", count: 100_000))]
            }
            try await fixture.record(call)
            let kept = try await fixture.kept(call.id)
            #expect(kept.agent == String(repeating: "é", count: 320))
            #expect(kept.project == "ab")
            #expect(kept.model.utf8.count == 640)
            #expect(kept.tags == (0..<16).map(String.init))
            #expect(kept.attempts.count == 64)
            #expect(kept.attempts.first?.costNanoUSD == 1_000_000_000_000_000)
            #expect(kept.attempts.first?.durationMs == 0)
            #expect(kept.holds.count == 64)
            #expect(kept.holds.first?.nanoUSD == 0)
            #expect(kept.refusal?.detail.utf8.count == 1_000)
            #expect(kept.usage.raw == ["leftOut": "it is larger than Reeve keeps"])
            #expect(kept.decision == ["leftOut": "it is larger than Reeve keeps"])
            #expect(kept.cost?.nanoUSD == 1_000_000_000_000_000)
            #expect(kept.savedNanoUSD == 0)
            #expect(kept.durationMs == 0)
            #expect(kept.usage.tokens.total == 1 << 40)
        }
    }

    @Test("Sums saturate instead of failing the booking", arguments: TestEngine.available)
    func saturates(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            for _ in 0..<3 {
                let calls = (0..<60).map { _ in fixture.call { $0.cost = CallCost(nanoUSD: .max) } }
                try await fixture.record(calls)
            }
            let sum = try await fixture.report(by: .agent).total.sums[.nanoUSD]
            #expect(sum == 100_000_000_000_000_000)
        }
    }

    @Test("Lists are newest first, page by page", arguments: TestEngine.available)
    func pages(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            var made: [Call] = []
            for _ in 0..<7 {
                made.append(fixture.call())
                fixture.time.advance(by: .milliseconds(1))
            }
            var chance = SeededEntropy(seed: 7)
            try await fixture.record(made.shuffled(using: &chance))
            var seen: [Identifier<Call>] = []
            var after: String?
            repeat {
                let found = try await fixture.list(limit: 3, after: after)
                seen += found.prefix(3).map(\.id)
                after = found.count > 3 ? found[2].id.text : nil
            } while after != nil
            #expect(seen == made.reversed().map(\.id))
        }
    }

    /// The statement and the filter for calls of memory say the same.
    @Test("A list holds what its filter says, of the store and of memory", arguments: TestEngine.available)
    func filters(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let dice = SeededEntropy(seed: 3)
            var made: [Call] = []
            for _ in 0..<120 {
                made.append(
                    fixture.call { call in
                        call.agent = dice.pick(["writer", "reader", nil])
                        call.project = dice.pick(["books", nil])
                        call.taskID = dice.pick(["task_1", "task_2", nil])
                        call.session = dice.pick(["s", nil])
                        call.model = dice.pick(["small", "large"])
                        call.status = dice.pick([.done, .done, .failed, .canceled])
                        call.tags = dice.pick([[], ["night"], ["night", "day"]])
                    })
                fixture.time.advance(by: .seconds(1))
            }
            try await fixture.record(made)
            let start = made[0].startedAt
            for _ in 0..<150 {
                var filter = CallFilter()
                filter.agent = dice.pick(["writer", "nobody", nil, nil])
                filter.project = dice.pick(["books", nil, nil])
                filter.taskID = dice.pick(["task_2", nil, nil])
                filter.session = dice.pick(["s", nil, nil])
                filter.model = dice.pick(["small", nil])
                filter.tag = dice.pick(["night", "day", nil, nil])
                filter.statuses = dice.pick([[], [.failed], [.failed, .canceled], [.done], [.running]])
                filter.since = dice.pick([nil, start + .seconds(Int64(dice.int(in: 0...120)))])
                let after = dice.pick([nil, dice.pick(made).id.text])
                let wanted = made.reversed().filter { call in
                    call.matches(filter) && (after.map { call.id.text < $0 } ?? true)
                }
                let found = try await fixture.list(filter, limit: 200, after: after)
                #expect(found.map(\.id) == wanted.map(\.id), "\(filter)")
            }
        }
    }

    @Test("Calls of memory stand among those of the store, each once", arguments: TestEngine.available)
    func merges(_ engine: TestEngine) async throws {
        let scratch = World.test(seed: 9)
        let alive = Call(
            id: Identifier(scratch), status: .running, startedAt: scratch.now, agent: "writer", door: "openai.chat",
            model: "large")
        let ended = Call(
            id: Identifier(scratch), status: .done, startedAt: scratch.now, agent: "reader", door: "openai.chat",
            model: "large")
        try await CallFixture.on(engine, live: ListedCalls(calls: [alive, ended])) { fixture in
            let old = fixture.call { $0.startedAt = fixture.world.now - .hours(1) }
            try await fixture.record(old, ended)
            #expect(Set(try await fixture.list().map(\.id)) == [alive.id, ended.id, old.id])
            #expect(try await fixture.kept(alive.id).status == .running)
            #expect(try await fixture.kept(ended.id).status == .done)
            var filter = CallFilter()
            filter.statuses = [.running]
            #expect(try await fixture.list(filter).map(\.id) == [alive.id])
            filter.statuses = [.done]
            filter.agent = "reader"
            #expect(try await fixture.list(filter).map(\.id) == [ended.id])
            #expect(try await fixture.list(limit: 1).count == 2)
        }
    }

    @Test("A call of another agent is not there for an agent", arguments: TestEngine.available)
    func hides(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let call = fixture.call()
            try await fixture.record(call)
            let own = try await fixture.calls.call(call.id.text, agent: "writer", storage: fixture.storage)
            #expect(own == call)
            let foreign = await code {
                try await fixture.calls.call(call.id.text, agent: "reader", storage: fixture.storage)
            }
            #expect(foreign == "not_found")
            for id in ["", "call_", "call_zz", "task_" + call.id.text.dropFirst(5), call.id.text + "0"] {
                let missing = await code { try await fixture.calls.call(id, storage: fixture.storage) }
                #expect(missing == "not_found")
            }
        }
    }
}

/// No list walks past calls that its filter leaves out: SQLite says which index it takes.
@Suite struct CallListPlanTests {
    private static let filters: [(String, @Sendable (inout CallFilter) -> Void)] = [
        ("sqlite_autoindex_calls_1", { _ in }),
        ("sqlite_autoindex_calls_1", { $0.since = Timestamp(microseconds: 1_795_161_600_000_000) }),
        ("sqlite_autoindex_calls_1", { $0.statuses = [.done] }),
        ("calls_agent", { $0.agent = "writer" }),
        ("calls_project", { $0.project = "books" }),
        ("calls_task", { $0.taskID = "task_1" }),
        ("calls_session", { $0.session = "s" }),
        ("calls_model", { $0.model = "small" }),
        ("calls_apart", { $0.statuses = [.failed] }),
        ("calls_apart", { $0.statuses = [.failed, .canceled] }),
        (
            "calls_agent",
            {
                $0.agent = "writer"
                $0.statuses = [.failed]
            }
        ),
    ]

    private func plan(_ statement: SQLText) async throws -> [String] {
        try await withStorage(.sqlite, migrations: CallSchema.migrations) { storage in
            try await storage.read { try $0.rows("EXPLAIN QUERY PLAN" + statement).map { $0.text("detail") } }
        }
    }

    @Test(arguments: filters.indices)
    func lists(_ index: Int) async throws {
        let (name, change) = Self.filters[index]
        var filter = CallFilter()
        change(&filter)
        for after in [nil, "call_01"] {
            let plan = try await plan(CallStore().listing(filter, Page(limit: 50, after: after)))
            #expect(plan.contains { $0.contains("INDEX \(name) ") }, "\(plan)")
            #expect(!plan.contains { $0.contains("TEMP B-TREE") || $0.hasPrefix("SCAN") }, "\(plan)")
        }
    }

    @Test func byTag() async throws {
        var filter = CallFilter()
        filter.tag = "night"
        filter.agent = "writer"
        let plan = try await plan(CallStore().listing(filter, Page(limit: 50, after: "call_01")))
        #expect(plan.first?.contains("call_tags USING PRIMARY KEY") == true, "\(plan)")
        #expect(plan.last?.contains("calls USING INDEX sqlite_autoindex_calls_1") == true, "\(plan)")
        #expect(plan.count == 2)
    }
}
