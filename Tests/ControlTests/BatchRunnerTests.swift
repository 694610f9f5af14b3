import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Control

@Suite struct BatchRunnerTests {
    private static func lines(_ count: Int) -> [String] { (1...count).map { BatchFixture.line("r\($0)") } }

    @Test("A batch goes from its file to its results", arguments: TestEngine.available)
    func wholeWay(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let calls = AnsweringCalls(fixture) { asked, _ in
                asked.said == "r2" ? .refused(400, code: "wrong") : .said(asked.said)
            }
            let batch = try await fixture.batch(Self.lines(3) + ["{"])
            try await fixture.drive(batch, fixture.runner(calls))
            let ended = try await fixture.kept(batch)
            #expect(ended.state == .completed)
            #expect(ended.counts == Batch.Counts(total: 4, succeeded: 2, errored: 2, canceled: 0, expired: 0))
            #expect(ended.model == "small")
            #expect(calls.asked.map(\.tags) == [batch.id, batch.id, batch.id])
            let output = try await fixture.content(ended.outputFile)
            #expect(output.map { $0["custom_id"]?.string } == ["r1", "r3"])
            #expect(output.first?["response"]?["body"] == ["said": "r1"])
            #expect(output.first?["response"]?["request_id"] == "call_1")
            let errors = try await fixture.content(ended.errorFile)
            #expect(errors.first?["response"]?["status_code"] == 400)
            #expect(errors.last?["error"]?["code"] == "invalid_json_line")
            #expect(ended.flaws.array?.first?["line"] == 4)
        }
    }

    @Test(
        "A provider without time is asked again, by one request, at growing intervals", arguments: TestEngine.available)
    func limited(_ engine: TestEngine) async throws {
        var policy = BatchPolicy()
        policy.parallel = 1
        try await BatchFixture.on(engine, policy: policy) { fixture in
            let calls = AnsweringCalls(fixture) { asked, count in
                switch count {
                case 0: .refused(429)
                case 1: .refused(503, retryAfter: 7)
                case 2: .refused(529)
                case 3: .refused(502, code: "provider_unreachable")
                default: .said(asked.said)
                }
            }
            let batch = try await fixture.batch(Self.lines(3))
            try await fixture.drive(batch, fixture.runner(calls))
            #expect(try await fixture.kept(batch).counts.succeeded == 3)
            #expect(calls.asked.map(\.after) == [0, 1, 8, 12, 20, 20, 20])
            #expect(calls.asked.map(\.said) == ["r1", "r1", "r1", "r1", "r1", "r2", "r3"])
        }
    }

    @Test("While a provider has no time, one request asks for all", arguments: TestEngine.available)
    func oneProbe(_ engine: TestEngine) async throws {
        var policy = BatchPolicy()
        policy.parallel = 4
        try await BatchFixture.on(engine, policy: policy) { fixture in
            let calls = AnsweringCalls(fixture) { asked, _ in asked.after < 7 ? .refused(429) : .said(asked.said) }
            let batch = try await fixture.batch(Self.lines(12))
            try await fixture.drive(batch, fixture.runner(calls))
            #expect(try await fixture.kept(batch).counts.succeeded == 12)
            // Four at first; then, after 1, 3 and 7 s, one each.
            #expect(calls.asked.count { $0.after == 0 } <= 4)
            #expect(calls.asked.count { $0.after == 1 } == 1)
            #expect(calls.asked.count { $0.after == 3 } == 1)
            #expect(calls.asked.count { $0.after >= 7 } == 12)
        }
    }

    @Test("A request that its provider always fails at ends with that", arguments: TestEngine.available)
    func poison(_ engine: TestEngine) async throws {
        var policy = BatchPolicy()
        policy.parallel = 1
        try await BatchFixture.on(engine, policy: policy) { fixture in
            let calls = AnsweringCalls(fixture) { asked, _ in asked.said == "r1" ? .refused(500) : .said(asked.said) }
            let batch = try await fixture.batch(Self.lines(4))
            try await fixture.drive(batch, fixture.runner(calls))
            let ended = try await fixture.kept(batch)
            #expect(ended.counts == Batch.Counts(total: 4, succeeded: 3, errored: 1, canceled: 0, expired: 0))
            // Those that were not tried yet go first.
            #expect(calls.asked.prefix(4).map(\.said) == ["r1", "r2", "r3", "r4"])
            #expect(calls.asked.count { $0.said == "r1" } == 6)
            let errors = try await fixture.content(ended.errorFile)
            #expect(errors.first?["response"]?["status_code"] == 500)
        }
    }

    @Test("Past its time the rest of a batch is told as expired", arguments: TestEngine.available)
    func expiry(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let calls = AnsweringCalls(fixture) { asked, _ in
                asked.said == "r1" ? .said("once") : .refused(429, retryAfter: 3_600)
            }
            let batch = try await fixture.batch(Self.lines(3), window: .minutes(12))
            try await fixture.drive(batch, fixture.runner(calls))
            let ended = try await fixture.kept(batch)
            #expect(ended.state == .expired)
            #expect(ended.counts == Batch.Counts(total: 3, succeeded: 1, errored: 0, canceled: 0, expired: 2))
            let errors = try await fixture.content(ended.errorFile)
            #expect(errors.map { $0["error"]?["code"]?.string } == ["batch_expired", "batch_expired"])
            // However long the provider asks for, every five minutes one request finds out.
            #expect(calls.asked.map(\.after).sorted().suffix(2) == [300, 600])
            #expect(ended.endedAt.map { $0 - batch.createdAt } == .minutes(12))
        }
    }

    @Test("What is answered is not asked again after a crash", arguments: TestEngine.available)
    func crash(_ engine: TestEngine) async throws {
        struct PowerCut: Error {}
        var policy = BatchPolicy()
        policy.parallel = 1
        try await BatchFixture.on(engine, policy: policy) { fixture in
            let batch = try await fixture.batch(Self.lines(5))
            let dying = AnsweringCalls(fixture) { asked, count in
                guard count < 2 else { throw PowerCut() }
                return .said(asked.said)
            }
            await #expect(throws: PowerCut.self) { try await fixture.drive(batch, fixture.runner(dying)) }
            #expect(try await fixture.kept(batch).counts.succeeded == 2)
            let next = AnsweringCalls(fixture) { asked, _ in .said(asked.said) }
            let runner = fixture.runner(next)
            // The only process frees what was claimed; of several the claim has to run out.
            if engine == .postgres {
                #expect(try await runner.due() == [])
                fixture.time.advance(by: .seconds(Int64(16)))
            }
            #expect(try await runner.due() == [batch.id])
            try await fixture.drive(batch, runner)
            #expect(next.asked.map(\.said) == ["r3", "r4", "r5"])
            #expect(try await fixture.kept(batch).counts.succeeded == 5)
            let ended = try await fixture.kept(batch)
            #expect(try await fixture.content(ended.outputFile).count == 5)
        }
    }

    @Test("A batch that was read half is read again without doubles", arguments: TestEngine.available)
    func readAgain(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let batch = try await fixture.batch(Self.lines(3))
            let half = BatchLine(number: 1, customID: "r1", body: Array(#"{"model":"small","say":"r1"}"#.utf8))
            try await fixture.storage.write { [service = fixture.service] in
                try service.lines.insert([half], of: batch.id, in: $0)
            }
            let calls = AnsweringCalls(fixture) { asked, _ in .said(asked.said) }
            try await fixture.drive(batch, fixture.runner(calls))
            #expect(calls.asked.map(\.said).sorted() == ["r1", "r2", "r3"])
            #expect(try await fixture.kept(batch).counts.total == 3)
        }
    }

    @Test("Of two replicas one runs a batch", arguments: TestEngine.available)
    func replicas(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let batch = try await fixture.batch(Self.lines(2))
            let now = fixture.world.now
            func claim(_ runner: String, after seconds: Int64) async throws -> Bool {
                let now = now + .seconds(seconds)
                return try await fixture.storage.write { [service = fixture.service] in
                    try service.batches.claim(
                        batch.id, runner: runner, until: now + BatchRunner.claimSpan, at: now, in: $0)
                }
            }
            var told: [Bool] = []
            for (runner, seconds) in [("one", 0), ("two", 0), ("one", 10), ("two", 16), ("two", 26), ("one", 27)] {
                told.append(try await claim(runner, after: Int64(seconds)))
            }
            #expect(told == [true, false, true, false, true, false])
        }
    }

    @Test("An owner of many batches leaves places for others")
    func fairness() async throws {
        try await BatchFixture.on(.sqlite) { fixture in
            for _ in 1...40 { _ = try await fixture.batch(Self.lines(1)) }
            let other = Principal(keyID: "key_other", name: "other", role: .operator_)
            let late = try await fixture.batch(Self.lines(1), owner: other)
            let due = try await fixture.runner(AnsweringCalls(fixture) { _, _ in .said("") }).due()
            #expect(due.count == 33)
            #expect(due.contains(late.id))
        }
    }

    @Test("Results beyond the bound end the rest", arguments: TestEngine.available)
    func tooMuchOutput(_ engine: TestEngine) async throws {
        var policy = BatchPolicy()
        policy.parallel = 1
        try await BatchFixture.on(engine, policy: policy) { fixture in
            let batch = try await fixture.batch(Self.lines(3))
            let calls = AnsweringCalls(fixture) { asked, _ in .said(asked.said) }
            try await fixture.storage.write {
                _ = try $0.run("UPDATE batches SET result_bytes = \(BatchPolicy.resultBytesMax - 1)")
            }
            try await fixture.drive(batch, fixture.runner(calls))
            let ended = try await fixture.kept(batch)
            #expect(ended.counts == Batch.Counts(total: 3, succeeded: 1, errored: 2, canceled: 0, expired: 0))
            let errors = try await fixture.content(ended.errorFile)
            #expect(errors.map { $0["error"]?["code"]?.string } == ["output_too_large", "output_too_large"])
        }
    }

    @Test("An answer that is no JSON object stands there as one")
    func unreadable() throws {
        let line = BatchLine(number: 1, customID: "a")
        let page = BatchAnswer(status: 502, callID: nil, retryAfterSeconds: nil, body: Array("<html>\n".utf8))
        let openAI = BatchResult(dialect: .openAI, batchID: "batch_1").line(line, page)
        #expect(openAI.count { $0 == UInt8(ascii: "\n") } == 1)
        let told = try JSONParser.parse(openAI)["response"]?["body"]?["error"]
        #expect(told?["type"]?.string == "server_error")
        let pretty = BatchAnswer(
            status: 200, callID: nil, retryAfterSeconds: nil, body: Array("{\n \"a\": 1.50\r\n}".utf8))
        let message = BatchResult(dialect: .anthropic, batchID: "msgbatch_1").line(line, pretty)
        #expect(
            String(decoding: message, as: UTF8.self)
                == #"{"custom_id":"a","result":{"type":"succeeded","message":{"a":1.5}}}"# + "\n")
    }
}
