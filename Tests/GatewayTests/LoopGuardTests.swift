import Kernel
import Testing

@testable import Gateway

/// When a run goes in circles, and how full its window is.
@Suite struct LoopGuardTests {
    static let start = Timestamp(microseconds: 1_000_000_000)

    static func at(_ seconds: Int64) -> Timestamp { start + .seconds(seconds) }

    /// The number of the first call that is held; a call a second.
    static func firstHeld(_ rules: LoopGuard.Rules, _ hashes: [UInt64]) -> Int? {
        var loops = LoopGuard(rules)
        for (index, hash) in hashes.enumerated() where loops.call(run: "r", hash: hash, at: at(Int64(index))) != .pass {
            return index + 1
        }
        return nil
    }

    @Test(
        arguments: [
            (3, [1, 1, 1], 3), (3, [1, 2, 1, 2, 1], 5), (3, [1, 2, 3, 4, 5], nil), (3, [1, 1, 2, 2], nil),
            (nil, [1, 1, 1, 1, 1, 1], nil), (0, [1, 1], 2), (-5, [1, 1], 2),
        ] as [(Int?, [UInt64], Int?)])
    func sameCalls(limit: Int?, hashes: [UInt64], expected: Int?) {
        #expect(Self.firstHeld(.init(sameCalls: limit), hashes) == expected)
    }

    @Test func theLimitOfSameCallsHasABound() {
        let hashes = [UInt64](repeating: 1, count: 100)
        #expect(Self.firstHeld(.init(sameCalls: 1_000), hashes) == LoopGuard.samplesMax)
    }

    @Test func callsOutsideOfTheWindowDoNotCount() {
        var loops = LoopGuard(.init(sameCalls: 3, window: .seconds(60)))
        for second: Int64 in [0, 40, 80, 120, 160] {
            #expect(loops.call(run: "r", hash: 1, at: Self.at(second)) == .pass)
        }
        #expect(loops.call(run: "r", hash: 1, at: Self.at(161)) != .pass)
    }

    @Test func aHoldHasItsEvidenceAndItsEnd() {
        var loops = LoopGuard(.init(sameCalls: 3))
        for second: Int64 in [0, 1] { #expect(loops.call(run: "r", hash: 7, at: Self.at(second)) == .pass) }
        let evidence = LoopGuard.Evidence(
            cause: .sameCalls, count: 3, limit: 3, hash: 7, firstAt: Self.start, lastAt: Self.at(2), turns: 3,
            heldUntil: Self.at(302))
        #expect(loops.call(run: "r", hash: 7, at: Self.at(2)) == .hold(evidence))
        // Another call of the same run is held for the same reason, another run is not.
        #expect(loops.call(run: "r", hash: 8, at: Self.at(3)) == .hold(evidence))
        #expect(loops.reply(run: "r", hash: 8, tokens: 1, at: Self.at(3)) == .hold(evidence))
        #expect(loops.call(run: "s", hash: 7, at: Self.at(3)) == .pass)
        #expect(loops.evidence(run: "r", at: Self.at(301)) == evidence)
        #expect(loops.evidence(run: "r", at: Self.at(302)) == nil)
        #expect(loops.call(run: "r", hash: 7, at: Self.at(302)) == .pass)
    }

    @Test func anOperatorLetsARunGo() {
        var loops = LoopGuard(.init(sameCalls: 2, turns: 3))
        _ = loops.call(run: "r", hash: 1, at: Self.start)
        #expect(loops.call(run: "r", hash: 1, at: Self.start) != .pass)
        loops.release(run: "r", at: Self.start)
        #expect(loops.call(run: "r", hash: 1, at: Self.start) == .pass)
        guard case .hold(let evidence) = loops.call(run: "r", hash: 2, at: Self.at(1)) else {
            Issue.record("a fourth turn was let through")
            return
        }
        #expect(evidence.cause == .turns)
        #expect(evidence.count == 4)
        #expect(evidence.heldUntil == .distantFuture)
        #expect(loops.call(run: "r", hash: 3, at: Self.at(1_000_000)) == .hold(evidence))
        loops.release(run: "r", at: Self.at(1_000_000))
        #expect(loops.call(run: "r", hash: 3, at: Self.at(1_000_000)) == .pass)
        loops.release(run: "nobody", at: Self.start)
        #expect(loops.count == 1)
    }

    @Test func answersWithoutAnythingNew() {
        var loops = LoopGuard(.init(sameReplies: 3))
        for (second, hash): (Int64, UInt64) in [(0, 5), (1, 5), (2, 6), (3, 5), (4, 5)] {
            #expect(loops.reply(run: "r", hash: hash, tokens: 1, at: Self.at(second)) == .pass)
        }
        guard case .hold(let evidence) = loops.reply(run: "r", hash: 5, tokens: 1, at: Self.at(5)) else {
            Issue.record("a third answer of the same words was let through")
            return
        }
        #expect(evidence.cause == .sameReplies)
        #expect(evidence.count == 3)
        #expect(evidence.firstAt == Self.at(3))
        #expect(evidence.hash == 5)
    }

    @Test(
        arguments: [
            ([(0, 600), (10, 400)], false), ([(0, 600), (10, 401)], true), ([(0, 1_000), (61, 1_000)], false),
            ([(0, 1_001)], true), ([(0, -5), (1, 1_000)], false), ([(0, .max), (1, .max)], true),
            ([(0, 500), (30, 300), (69, 400)], false), ([(9, 500), (30, 300), (58, 400)], true),
        ] as [([(Int64, Int)], Bool)])
    func tokenVelocity(replies: [(Int64, Int)], held: Bool) {
        var loops = LoopGuard(.init(sameReplies: nil, tokensPerMinute: 1_000))
        var last = LoopGuard.Verdict.pass
        for (second, tokens) in replies { last = loops.reply(run: "r", hash: 0, tokens: tokens, at: Self.at(second)) }
        #expect((last != .pass) == held)
    }

    @Test func memoryIsBounded() {
        var loops = LoopGuard(.init(sameCalls: 2, runsMax: 3))
        for run in ["a", "b", "c"] { _ = loops.call(run: run, hash: 1, at: Self.start) }
        _ = loops.call(run: "a", hash: 2, at: Self.start)
        // The one that was quiet longest is forgotten: its second call is its first.
        _ = loops.call(run: "d", hash: 1, at: Self.start)
        #expect(loops.count == 3)
        #expect(loops.call(run: "b", hash: 1, at: Self.start) == .pass)
        #expect(loops.call(run: "a", hash: 1, at: Self.start) != .pass)
        var flood = LoopGuard(.init(runsMax: .max))
        for number in 0..<(LoopGuard.runsMax + 50) { _ = flood.call(run: "\(number)", hash: 1, at: Self.start) }
        #expect(flood.count == LoopGuard.runsMax)
        let long = String(repeating: "x", count: 10_000)
        _ = flood.call(run: long, hash: 1, at: Self.start)
        #expect(flood.call(run: long + "y", hash: 1, at: Self.start) == .pass)
    }
}

@Suite struct ContextGaugeTests {
    @Test(
        arguments: [
            ([], nil, nil), ([1_000], nil, nil), ([1_000, 2_000], 1_000, 8), ([1_000, 2_000, 3_000], 1_000, 7),
            ([1_000, 1_000, 1_000], 0, nil), ([1_000, 3_000, 2_000], nil, nil), ([9_000, 12_000], 3_000, 0),
            ([1_000, 1_500, 4_000], 1_500, 4), ([0, 0, 0, 0, 0, 0, 0, 0, 100, 200], 22.619, 433),
        ] as [([Int], Double?, Int?)])
    func forecast(inputs: [Int], growth: Double?, turnsLeft: Int?) {
        var gauge = ContextGauge()
        var reading: ContextGauge.Reading?
        for input in inputs { reading = gauge.record(session: "s", input: input, window: 10_000) }
        #expect(reading?.utilization == inputs.last.map { Double($0) / 10_000 })
        #expect(reading?.turnsLeft == turnsLeft)
        if let growth { #expect(abs((reading?.growthPerTurn ?? -1) - growth) < 0.001) }
        if growth == nil { #expect(reading?.growthPerTurn == nil) }
        #expect(gauge.reading(session: "s") == reading)
    }

    static func record(
        _ gauge: inout ContextGauge, session: String, input: Int, window: Int
    ) -> ContextGauge.Reading? {
        gauge.record(session: session, input: input, window: window)
    }

    @Test func oddNumbersAndNames() {
        var gauge = ContextGauge(sessionsMax: 2)
        #expect(Self.record(&gauge, session: "s", input: 5, window: 0) == nil)
        #expect(Self.record(&gauge, session: "s", input: -5, window: 10)?.utilization == 0)
        #expect(Self.record(&gauge, session: "s", input: .max, window: 1)?.turnsLeft == 0)
        #expect(Self.record(&gauge, session: "t", input: 0, window: .max)?.utilization == 0)
        #expect(Self.record(&gauge, session: "t", input: 1, window: .max)?.turnsLeft == nil)
        for number in 0..<10 { _ = gauge.record(session: "\(number)", input: 1, window: 10) }
        #expect(gauge.count == 2)
        gauge.forget(session: "9")
        #expect(gauge.count == 1)
        #expect(gauge.reading(session: "9") == nil)
        #expect(gauge.reading(session: "8")?.utilization == 0.1)
    }

    /// A table against a plain list that does the same, over a few thousand random operations.
    @Test func theTableForgetsTheLeastRecent() {
        var table = RecentTable<Int>(capacity: 5)
        var list: [(String, Int)] = []
        var seed: UInt64 = 42
        for step in 0..<5_000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let name = "\(seed >> 33 % 12)"
            let index = list.firstIndex { $0.0 == name }
            if seed >> 60 == 0 {
                table.remove(name)
                if let index { list.remove(at: index) }
            } else {
                table.update(name, orMake: { step }) { $0 += 1 }
                let entry = index.map { list.remove(at: $0) } ?? (name, step)
                list.append((name, entry.1 + 1))
                if list.count > 5 { list.removeFirst() }
            }
            #expect(table.count == list.count)
            for entry in list { #expect(table.peek(entry.0) == entry.1) }
        }
    }
}
