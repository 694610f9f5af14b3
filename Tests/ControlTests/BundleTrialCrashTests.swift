import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("A process that is killed in the middle of a roll-out")
struct BundleTrialCrashTests {
    /// What can be seen from outside, in its order.
    private struct Outcome: Equatable {
        var events: [String] = []
        var audit: [String] = []
        var state = ""
        var step: Int64 = 0
        var begun: [Int64] = []
        var units: [Int64] = []
        var isNewDesired = false
    }

    /// The end of the work with a new version that is as good, or fails, whoever looks then being killed at a write
    /// and gone on with by another; `nil` where it was over before.
    private static func outcome(
        _ engine: TestEngine, isBad: Bool, dyingAt write: Int, isKept: Bool
    ) async throws -> Outcome? {
        let time = ManualTime()
        let world = World.test(time: time)
        return try await withStorage(engine, migrations: AgentBench.migrations, world: world) { storage in
            let bench = AgentBench(storage: storage, time: time, world: world, policy: AgentPolicy())
            let steps =
                #"[{"share":0.3,"seconds":60,"unitsMin":2,"margin":1},"#
                + #"{"share":0.5,"seconds":60,"unitsMin":2,"margin":1}]"#
            let rolled = try await BundleTrialTests.Rolled(bench, steps: steps)
            let claims = try await rolled.claim(40)
            let mortal = MortalStorage(storage, dyingAt: write, isKept: isKept)
            do {
                // What began is counted before it ends, and each step has a look of its own.
                try await look(bench, mortal)
                for claim in claims {
                    let fails = isBad && BundleTrialTests.Rolled.isNew(claim)
                    try await rolled.end(
                        claim, fails ? "fail" : "complete", more: fails ? #","class":"permanent""# : "")
                }
                for _ in 0..<3 {
                    try await look(bench, mortal)
                    time.advance(by: .seconds(61))
                }
            } catch is MortalStorage.Killed {}
            guard mortal.hasDied || write == .max else { return nil }
            for claim in claims where try await isOpen(claim, bench) {
                let fails = isBad && BundleTrialTests.Rolled.isNew(claim)
                try await rolled.end(claim, fails ? "fail" : "complete", more: fails ? #","class":"permanent""# : "")
            }
            for _ in 0..<4 {
                try await look(bench.restarted(), storage)
                time.advance(by: .seconds(61))
            }
            return try await see(rolled)
        }
    }

    private static func isOpen(_ claim: JSONValue, _ bench: AgentBench) async throws -> Bool {
        let task = try await bench.call(.get, "/api/v1/tasks/\(claim["task"]?["id"]?.string ?? "")").body
        return task["state"] == "claimed" || task["state"] == "running"
    }

    private static func look(_ bench: AgentBench, _ storage: any Storage) async throws {
        try await BundleTrialLoop(service: bench.rollouts, storage: storage).look()
    }

    private static func see(_ rolled: BundleTrialTests.Rolled) async throws -> Outcome {
        let shown = try await rolled.show()
        var outcome = Outcome()
        outcome.events = try await rolled.bench.allEvents().map(\.type).filter { $0.hasPrefix("bundle.") }
        outcome.audit = try await rolled.bench.auditRows().map(\.action).filter { $0.hasPrefix("bundle.") }
        outcome.state = shown["state"]?.string ?? ""
        outcome.step = shown["step"]?.int ?? 0
        outcome.begun = [shown["begun"]?.int ?? 0, shown["begunNew"]?.int ?? 0]
        for side in ["new", "old"] {
            let tally = shown["measures"]?["failures"]?[side]
            outcome.units += [tally?["units"]?.int ?? -1, tally?["failed"]?.int ?? -1]
        }
        outcome.isNewDesired = try await rolled.desired() == rolled.new
        return outcome
    }

    @Test(
        "wherever it is killed, each attempt counts once, and each step is told of once",
        arguments: TestEngine.available)
    func killed(_ engine: TestEngine) async throws {
        for isBad in [false, true] {
            let expected = try #require(
                try await Self.outcome(engine, isBad: isBad, dyingAt: .max, isKept: false))
            #expect(expected.state == (isBad ? "taken_back" : "finished"))
            #expect(expected.isNewDesired == !isBad)
            #expect(expected.begun[0] == 40 && expected.units[0] + expected.units[2] == 40)
            var kills = 0
            for isKept in [false, true] {
                for write in 1..<100 {
                    guard
                        let outcome = try await Self.outcome(
                            engine, isBad: isBad, dyingAt: write, isKept: isKept)
                    else { break }
                    kills += 1
                    #expect(outcome == expected, "killed at write \(write), kept: \(isKept), bad: \(isBad)")
                }
            }
            #expect(kills >= 4, "\(kills)")
        }
    }
}
