import Kernel
import Testing

@testable import Gateway

/// Runs that go in circles are held, with evidence, and let go.
@Suite struct RunWatchTests {
    static let start = Timestamp(microseconds: 1_000_000_000)

    static func at(_ seconds: Int64) -> Timestamp { start + .seconds(seconds) }

    private static func run(_ session: String) throws -> NamedRun {
        try #require(NamedRun(agent: "a", keyID: "k", session: session, task: nil))
    }

    private static func watch(_ text: String) throws -> RunWatch {
        let document = try JSONParser.parse(Array(text.utf8), depthMax: 4)
        return RunWatch(try LoopGuard.Rules(Fields(document.object ?? JSONObject(), limits: Limits())))
    }

    private static func turn(
        _ watch: RunWatch, _ run: NamedRun, hash: UInt64 = 1, reply: UInt64? = nil, tokens: Int64 = 10,
        at time: Timestamp = start
    ) -> HeldRun? {
        if let held = watch.begin(run, hash: hash, model: "m", call: "c", at: time) { return held }
        _ = watch.end(
            run, hash: hash, reply: reply, input: tokens, output: 0, window: nil, model: "m", call: "c", at: time)
        return nil
    }

    @Test func theSameCallIsHeldAndToldOnce() throws {
        let watch = try Self.watch(#"{"sameCalls":3,"sameReplies":false,"holdSeconds":60}"#)
        let run = try Self.run("s")
        #expect(Self.turn(watch, run) == nil && Self.turn(watch, run) == nil)
        let held = try #require(Self.turn(watch, run))
        #expect(held.cause == "same_calls" && held.heldUntil == Self.at(60))
        #expect(Self.turn(watch, run, hash: 2, at: Self.at(1))?.id == held.id)
        #expect(watch.takeNotices().map(\.id) == [held.id] && watch.takeNotices().isEmpty)
        #expect(watch.held(at: Self.at(1)).map(\.id) == [held.id])
        #expect(Self.turn(watch, try Self.run("other")) == nil)
        // After its time it goes on by itself, and is no longer listed.
        #expect(watch.held(at: Self.at(60)).isEmpty && watch.release(held.id, at: Self.at(60)) == nil)
        #expect(Self.turn(watch, run, at: Self.at(60)) == nil)
    }

    @Test func aPersonLetsItGo() throws {
        let watch = try Self.watch(#"{"turns":2}"#)
        let run = try Self.run("s")
        #expect(Self.turn(watch, run, hash: 1) == nil && Self.turn(watch, run, hash: 2) == nil)
        let held = try #require(Self.turn(watch, run, hash: 3))
        #expect(held.cause == "turns" && held.heldUntil == nil)
        #expect(watch.release("run_none", at: Self.start) == nil)
        #expect(watch.release(held.id, at: Self.start)?.id == held.id)
        #expect(Self.turn(watch, run, hash: 3) == nil)
    }

    @Test func callsBesideOneAnotherAreNotCompared() throws {
        let watch = try Self.watch(#"{"sameCalls":3,"sameReplies":3}"#)
        let run = try Self.run("s")
        for _ in 0..<50 { #expect(watch.begin(run, hash: 1, model: "m", call: "c", at: Self.start) == nil) }
        for _ in 0..<49 {
            _ = watch.end(
                run, hash: 1, reply: 7, input: 1, output: 1, window: nil, model: "m", call: "c", at: Self.start)
        }
        #expect(watch.held(at: Self.start).isEmpty)
    }

    @Test func tokensAndAnswers() throws {
        let tokens = try Self.watch(#"{"tokensPerMinute":100,"sameCalls":false}"#)
        let run = try Self.run("s")
        #expect(Self.turn(tokens, run, tokens: 101) == nil)
        #expect(Self.turn(tokens, run)?.cause == "token_velocity")
        let replies = try Self.watch(#"{"sameReplies":2}"#)
        for hash in 1...2 { #expect(Self.turn(replies, run, hash: UInt64(hash), reply: 5) == nil) }
        #expect(Self.turn(replies, run, hash: 3)?.cause == "same_replies")
        #expect(Self.turn(RunWatch(nil), run) == nil)
    }

    @Test func theWindowOfASession() throws {
        let watch = RunWatch(nil)
        let run = try Self.run("s")
        let readings = [100, 200, 300].map { (input: Int64) in
            watch.end(
                run, hash: 1, reply: nil, input: input, output: 0, window: 1_000, model: "m", call: "c", at: Self.start)
        }
        #expect(readings.last??.turnsLeft == 7)
        #expect(watch.uses.map(\.utilization) == [0.3] && watch.uses.first?.agent == "a")
    }

    @Test func namesAreTheCallersOwn() throws {
        let one = NamedRun(agent: "a", keyID: "k", session: "s", task: "t")
        #expect(one?.name == "agent a session s" && one?.task == nil)
        #expect(NamedRun(agent: nil, keyID: "k", session: nil, task: "t")?.name == "key k task t")
        #expect(NamedRun(agent: "a", keyID: "k", session: nil, task: nil) == nil)
        #expect(one?.id != NamedRun(agent: "b", keyID: "k", session: "s", task: nil)?.id)
    }

    @Test func whatIsRememberedIsBounded() throws {
        let watch = try Self.watch(#"{"turns":1}"#)
        for number in 0..<(RunWatch.heldMax + 200) {
            let run = try Self.run("\(number)")
            _ = Self.turn(watch, run)
            #expect(Self.turn(watch, run, hash: 2) != nil)
        }
        #expect(watch.held(at: Self.start).count == 1_000 && watch.takeNotices().count == 1_000)
        #expect(RunWatch.heldMax == 1_000 && RunWatch.noticesMax == 1_000)
    }
}
