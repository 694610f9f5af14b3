import Kernel
import TestSupport
import Testing

@testable import Control

@Suite struct CostTests {
    // MARK: By hand

    /// Three calls of two days, worked out by hand.
    private func three(_ fixture: CallFixture) async throws {
        let first = fixture.call { call in
            call.attempts = [
                CallAttempt(target: "a", startedAt: call.startedAt, failure: "cut", costNanoUSD: 300),
                CallAttempt(target: "b", startedAt: call.startedAt, costNanoUSD: 700),
            ]
            call.usage = CallUsage(
                buckets: [
                    "input": 1, "imageInput": 2, "audioInput": 4, "cacheRead": 8, "cacheWrite": 16, "cacheWrite5m": 32,
                    "cacheWrite1h": 64, "output": 128, "audioOutput": 256, "reasoning": 512,
                    "toolUses": ["webSearch": 3],
                    "serviceTier": "batch",
                ])
            call.taskID = "task_1"
            call.tags = ["night", "batch"]
        }
        let second = fixture.call { call in
            call.agent = "reader"
            call.model = "large"
            call.status = .failed
            call.cost = CallCost(nanoUSD: 20_000)
            call.refusal = CallRefusal(scope: "org", code: "budget_exceeded", detail: "")
            call.tags = ["night"]
        }
        fixture.time.advance(by: .hours(24))
        let third = fixture.call { call in
            call.agent = nil
            call.project = nil
            call.status = .canceled
            call.cost = nil
            call.usage.isEstimated = true
            call.savedNanoUSD = 9
        }
        try await fixture.record(first, second, third)
    }

    @Test("Sums of three calls", arguments: TestEngine.available)
    func byHand(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            try await three(fixture)
            let agents = try await fixture.report(by: .agent)
            #expect(agents.rows.map(\.name) == ["reader", "writer", nil])
            #expect(agents.rows.map(\.sums[.nanoUSD]) == [20_000, 1_000, 0])
            #expect(agents.rows.map(\.sums[.unpriced]) == [0, 0, 1])
            #expect(agents.rows.map(\.sums[.estimated]) == [0, 0, 1])
            #expect(agents.rows.map(\.sums[.retryNanoUSD]) == [0, 300, 0])
            #expect(agents.rows.map(\.sums[.abortedNanoUSD]) == [20_000, 0, 0])
            #expect(agents.rows.map(\.sums[.savedNanoUSD]) == [0, 0, 9])
            #expect(agents.rows.map(\.sums[.refused]) == [1, 0, 0])
            let writer = agents.rows[1].sums
            #expect(writer[.input] == 7)
            #expect(writer[.cacheRead] == 8)
            #expect(writer[.cacheWrite] == 112)
            #expect(writer[.output] == 384)
            #expect(writer[.reasoning] == 512)
            #expect(writer.tokens == 1_023)
            #expect(agents.total.sums[.calls] == 3)
            #expect(agents.total.sums[.nanoUSD] == 21_000)
            let days = try await fixture.report(by: .day)
            #expect(days.rows.map(\.name) == ["2026-11-20", "2026-11-21"])
            #expect(days.rows.map(\.sums[.calls]) == [2, 1])
            let tags = try await fixture.report(by: .tag)
            #expect(tags.rows.map(\.name) == ["night", "batch"])
            #expect(tags.rows.map(\.sums[.nanoUSD]) == [21_000, 1_000])
            #expect(tags.total.sums[.nanoUSD] == 21_000)
            #expect(try await fixture.report(by: .task).rows.map(\.name) == ["task_1"])
            #expect(try await fixture.report(by: .model).rows.map(\.name) == ["large", "small"])
            #expect(try await fixture.report(by: .project).rows.map(\.name) == ["books", nil])
        }
    }

    @Test("Filters, and the sums of one task or tag", arguments: TestEngine.available)
    func filtered(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            try await three(fixture)
            let one = try await fixture.report(by: .model) { $0.agent = "writer" }
            #expect(one.rows.map(\.name) == ["small"])
            #expect(one.total.sums[.calls] == 1)
            let large = try await fixture.report(by: .agent) { $0.model = "large" }
            #expect(large.rows.map(\.name) == ["reader"])
            let books = try await fixture.report(by: .tag) { $0.project = "books" }
            #expect(books.rows.count == 2)
            let today = try await fixture.report(by: .agent, since: "2026-11-21", until: "2026-11-21")
            #expect(today.rows.map(\.name) == [nil])
            let sums = try await fixture.storage.read { [costs = fixture.costs] in
                (try costs.task("task_1", in: $0), try costs.tag("night", in: $0), try costs.task("task_2", in: $0))
            }
            #expect(sums.0[.nanoUSD] == 1_000)
            #expect(sums.1[.nanoUSD] == 21_000)
            #expect(sums.2.isZero)
            let refused = await code { try await fixture.report(by: .tag) { $0.model = "small" } }
            #expect(refused == "invalid")
        }
    }

    @Test("Pages go on where the last one ended", arguments: TestEngine.available)
    func pages(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let names = ["e", "b", "d", "a", "c"]
            // Two of each cost, so that names decide.
            for (index, name) in names.enumerated() {
                try await fixture.record(
                    fixture.call { call in
                        call.agent = name
                        call.cost = CallCost(nanoUSD: Int64(index / 2))
                    })
            }
            for (dimension, wanted) in [(CostDimension.agent, ["c", "a", "d", "b", "e"]), (.model, ["small"])] {
                var seen: [String?] = []
                var after: String?
                repeat {
                    let report = try await fixture.report(by: dimension, limit: 2, after: after)
                    seen += report.rows.map(\.name)
                    after = report.next
                } while after != nil
                #expect(seen == wanted)
            }
            for cursor in ["", "x", "1", ":", "99999999999999999999:a"] {
                let refused = await code { try await fixture.report(by: .agent, after: cursor) }
                #expect(refused == "invalid", "\(cursor)")
            }
            let day = await code { try await fixture.report(by: .day, after: "1:yesterday") }
            #expect(day == "invalid")
        }
    }

    // MARK: CSV

    @Test(arguments: [
        ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\"\r\n"), ("+1", "'+1\r\n"), ("-1", "'-1\r\n"),
        ("@SUM(A1)", "'@SUM(A1)\r\n"), ("\tcmd", "'\tcmd\r\n"), ("\rcmd", "\"'\rcmd\"\r\n"), ("\n=1", "\"'\n=1\"\r\n"),
        ("  =1", "'  =1\r\n"), ("\u{FF1D}1", "'\u{FF1D}1\r\n"), ("\u{FEFF}=1", "'\u{FEFF}=1\r\n"),
        ("a,b", "\"a,b\"\r\n"), ("a\"b", "\"a\"\"b\"\r\n"), ("a\r\nb", "\"a\r\nb\"\r\n"), ("plain", "plain\r\n"),
        ("a=1", "a=1\r\n"), ("", "\r\n"), ("naïve", "naïve\r\n"),
    ])
    func cells(_ text: String, _ line: String) {
        #expect(CostCSV.line([CostCSV.inert(text)]) == line)
    }

    @Test(arguments: [
        (Int64(0), "0.000000000"), (1, "0.000000001"), (750, "0.000000750"), (1_500_000_000, "1.500000000"),
        (-20, "-0.000000020"), (.max, "9223372036.854775807"), (.min, "-9223372036.854775808"),
    ])
    func amounts(_ nanoUSD: Int64, _ text: String) {
        #expect(CostCSV.dollars(nanoUSD) == text)
    }

    @Test("A table, to the letter", arguments: TestEngine.available)
    func table(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            try await fixture.record(fixture.call { $0.agent = "=cmd" })
            let report = try await fixture.report(by: .agent)
            #expect(
                CostCSV.text(report)
                    == "agent,calls,done,failed,canceled,refused,input_tokens,cache_read_tokens,cache_write_tokens,"
                    + "output_tokens,reasoning_tokens,total_tokens,cost_usd,unpriced_calls,estimated_calls,"
                    + "lost_retries_usd,lost_aborted_usd,saved_usd,accepted_deliverables,usd_per_accepted\r\n"
                    + "'=cmd,1,1,0,0,0,10,0,0,5,0,15,0.000001000,0,0,0.000000000,0.000000000,0.000000000,0,\r\n")
        }
    }

    @Test(arguments: [
        ("2026-11-20", "2026-11-20"), ("1970-01-01", "1970-01-01"), ("2026-11-20T23:59:59Z", "2026-11-20"),
        ("2026-11-20T23:59:59-01:00", "2026-11-21"), ("9999-12-31", "9999-12-31"), ("2026-02-30", nil),
        ("1969-12-31", nil), ("20261120", nil), ("", nil), ("2026-11-2x", nil), ("\u{0662}026-11-20", nil),
    ])
    func days(_ text: String, _ day: String?) {
        #expect(CostDay(text)?.text == day)
    }

    // MARK: Accepted work

    @Test("What an accepted deliverable cost", arguments: TestEngine.available)
    func accepted(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: TaskFixture.migrations + CallSchema.migrations) { storage in
            let fleet = TaskFixture(storage: storage)
            let fixture = CallFixture(storage)
            let done = try await deliver(fleet, complete: true)
            let open = try await deliver(fleet, complete: false)
            for (task, cost) in [(done, 501), (done, 500), (open, 99)] as [(AgentTask, Int64)] {
                try await fixture.record(
                    fixture.call { call in
                        call.agent = "alpha"
                        call.project = "default"
                        call.taskID = task.id.text
                        call.cost = CallCost(nanoUSD: cost)
                    })
            }
            let tasks = try await fixture.report(by: .task)
            #expect(tasks.rows.map(\.name) == [done.id.text, open.id.text])
            #expect(tasks.rows.map(\.accepted) == [2, 0])
            #expect(tasks.rows.map(\.nanoUSDPerAccepted) == [501, nil])
            #expect(tasks.total.accepted == 2)
            for dimension in [CostDimension.agent, .project, .day] {
                let report = try await fixture.report(by: dimension)
                #expect(report.rows.map(\.accepted) == [2], "\(dimension)")
                #expect(report.total.nanoUSDPerAccepted == 550, "\(dimension)")
            }
            #expect(try await fixture.report(by: .model).rows.map(\.accepted) == [nil])
            let before = try await fixture.report(by: .agent, until: "2026-11-19")
            #expect(before.total.accepted == 0)
        }
    }

    private func deliver(_ fleet: TaskFixture, complete: Bool) async throws -> AgentTask {
        _ = try await fleet.create(["project": "default"])
        let task = try await fleet.claimOne()
        for name in ["a.txt", "b.txt"] {
            let draft = DeliverableDraft(
                fence: task.fence, name: name, contentType: "text/plain", content: Array(name.utf8))
            _ = try await fleet.storage.write { [tasks = fleet.tasks] in
                try tasks.seal(
                    draft, sha256: Digest.sha256(Array(name.utf8)), task: task.id.text, limits: Limits(),
                    by: TaskFixture.agentKey("alpha"), in: $0)
            }
        }
        if complete { _ = try await fleet.complete(task) }
        return task
    }
}
