import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Who called lately")
struct CallerTests {
    /// All that is written down, as `kind name agent minute`.
    private static func rows(_ fixture: CallFixture) async throws -> [String] {
        try await fixture.storage.read { transaction in
            try transaction.rows("SELECT kind, name, agent, last_at FROM callers ORDER BY kind, name, agent").map {
                "\($0.text("kind")) \($0.text("name")) \($0.text("agent")) \($0.int("last_at") / 60_000_000)"
            }
        }
    }

    private static func forge(_ fixture: CallFixture) async throws {
        try await fixture.storage.write { _ = try $0.run("UPDATE callers SET last_at = 0") }
    }

    @Test("a caller is written down once a minute for each thing that its calls name", arguments: TestEngine.available)
    func minutes(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            func call() -> Call {
                fixture.call {
                    ($0.tags, $0.keyID) = (["night"], "key_1")
                    $0.durationMs = 0
                }
            }
            let minute = fixture.world.now.microseconds / 60_000_000
            try await fixture.record(call(), call(), fixture.call { $0.agent = nil })
            let expected = ["key key_1", "model small", "project books", "tag night"]
            #expect(try await Self.rows(fixture) == expected.map { "\($0) writer \(minute)" })
            // What is known of this minute is not written again; what comes with the next one is.
            try await Self.forge(fixture)
            try await fixture.record(call())
            #expect(try await Self.rows(fixture) == expected.map { "\($0) writer 0" })
            fixture.time.advance(by: .minutes(1))
            try await fixture.record(call())
            #expect(try await Self.rows(fixture) == expected.map { "\($0) writer \(minute + 1)" })
            // What comes late takes nothing back.
            let late = fixture.call {
                $0.startedAt = fixture.world.now - .minutes(30)
                $0.agent = "writer"
            }
            try await fixture.record(late)
            #expect(try await Self.rows(fixture).contains("model small writer \(minute + 1)"))
        }
    }

    @Test("who hung in a call was there until its end")
    func hung() async throws {
        try await CallFixture.on(.sqlite) { fixture in
            let now = fixture.world.now
            try await fixture.record(
                fixture.call {
                    $0.startedAt = now - .minutes(40)
                    $0.durationMs = 40 * 60_000
                })
            let found = try await fixture.storage.read {
                try CallService.callers(.models(["small"]), since: now - .minutes(15), in: $0)
            }
            #expect(found == ["writer"])
        }
    }

    @Test("what is not kept is not taken for written", arguments: TestEngine.available)
    func undone(_ engine: TestEngine) async throws {
        struct Undone: Error {}
        try await CallFixture.on(engine) { fixture in
            let call = fixture.call()
            await #expect(throws: Undone.self) {
                try await fixture.storage.write { [calls = fixture.calls] transaction in
                    try calls.record([call], in: transaction)
                    throw Undone()
                }
            }
            #expect(try await Self.rows(fixture).isEmpty)
            try await fixture.record(call)
            #expect(try await Self.rows(fixture).count == 2)
        }
    }

    @Test("many callers are written together, and forgotten in their time", arguments: TestEngine.available)
    func many(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let old = (0..<151).map { number in fixture.call { $0.agent = "a\(number)" } }
            try await fixture.record(old)
            #expect(try await Self.rows(fixture).count == 302)
            fixture.time.advance(by: CallService.callersKept)
            try await fixture.record(fixture.call())
            fixture.time.advance(by: .minutes(2))
            try await CallLoops(service: fixture.calls, storage: fixture.storage).forget()
            #expect(try await Self.rows(fixture).map { $0.split(separator: " ")[2] } == ["writer", "writer"])
        }
    }

    @Test("what is remembered is bounded, and further callers are written each time")
    func bounded() {
        let memory = CallerMemory()
        let minute = Timestamp(microseconds: 600_000_000)
        func some(_ numbers: Range<Int>) -> [Caller: Timestamp] {
            Dictionary(
                uniqueKeysWithValues: numbers.map { (Caller(kind: .tag, name: "\($0)", agent: "a"), minute) })
        }
        memory.keep(some(0..<CallerMemory.callersMax))
        memory.keep(some(CallerMemory.callersMax..<CallerMemory.callersMax + 10))
        #expect(memory.unknown(CallerTally(minutes: some(0..<CallerMemory.callersMax))).isEmpty)
        let further = some(CallerMemory.callersMax..<CallerMemory.callersMax + 10)
        #expect(memory.unknown(CallerTally(minutes: further)).count == 10)
        // The next minute begins anew.
        memory.keep([Caller(kind: .tag, name: "0", agent: "a"): minute + .minutes(1)])
        #expect(memory.unknown(CallerTally(minutes: some(0..<2))).count == 2)
    }

    @Test("an upgrade begins with the callers of the newest calls", arguments: TestEngine.available)
    func upgraded(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            try await fixture.record(
                fixture.call {
                    ($0.tags, $0.keyID) = (["night", "paid"], "key_1")
                    $0.durationMs = 90_000
                }, fixture.call { ($0.agent, $0.project) = ("reader", nil) }, fixture.call { $0.agent = nil })
            let known = try await Self.rows(fixture)
            #expect(known.count == 6)
            let step = try #require(CallSchema.migrations.first { $0.id == "0112_callers" })
            try await fixture.storage.write { transaction in
                try transaction.define("DROP TABLE callers")
                for statement in step.statements { try transaction.define(statement) }
            }
            #expect(try await Self.rows(fixture) == known)
        }
    }
}
