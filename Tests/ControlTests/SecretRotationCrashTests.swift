import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("A process that is killed in the middle of a rotation")
struct SecretRotationCrashTests {
    private typealias Fixture = RotationFixture

    private struct Outcome: Equatable {
        var events: [String] = []
        var audit: [String] = []
        var state: SecretRotation.State?
        var versions: [String] = []
        var read: [String] = []
        var firing = 0
    }

    /// What is asked of it, one after the other; time goes on in between.
    private enum Step: CaseIterable {
        case stage, verify, issue, drain, retire, compromise
    }

    private static func act(_ step: Step, _ fixture: Fixture) async throws {
        let (service, path) = (fixture.service, fixture.path)
        switch step {
        case .stage: _ = try await service.stage(path, Fixture.data("new-value"), overlap: nil, by: Fixture.ada)
        case .verify: _ = try await service.verify(path, .word("called by hand"), by: Fixture.ada)
        case .issue: _ = try await service.issue(path, by: Fixture.ada)
        case .drain, .retire: try await service.act()
        case .compromise:
            _ = try await service.compromise(
                path, version: 2, reason: "a log", data: Fixture.data("third-value"), by: Fixture.ada)
        }
    }

    /// A whole way, killed at a write of one step and gone on with by another process; `nil` where the step was over
    /// before.
    private static func outcome(
        _ engine: TestEngine, dyingIn dying: Step?, at write: Int, isKept: Bool
    ) async throws -> Outcome? {
        try await withStorage(engine, migrations: Fixture.migrations) { storage in
            let time = ManualTime()
            var fixture = try Fixture(storage, time: time)
            try await fixture.begin()
            _ = try await fixture.read(Fixture.agent("writer"))
            for (number, step) in Step.allCases.enumerated() {
                if step == .drain { time.advance(by: .hours(24)) }
                guard step == dying else {
                    try await act(step, fixture)
                    continue
                }
                let mortal = MortalStorage(storage, dyingAt: write, isKept: isKept)
                do { try await act(step, try Fixture(mortal, time: time, seed: 50)) } catch is MortalStorage.Killed {}
                guard mortal.hasDied else { return nil }
                fixture = try Fixture(storage, time: time, seed: UInt64(100 + number))
                // Whoever did not hear an answer asks again, and is told what became of it.
                do { try await act(step, fixture) } catch let problem as Problem {
                    #expect(isKept && problem.code == .badTransition, "\(problem)")
                }
            }
            if try await fixture.state() == .draining { try await fixture.service.act() }
            return try await look(fixture)
        }
    }

    private static func look(_ fixture: Fixture) async throws -> Outcome {
        var outcome = Outcome()
        outcome.events = try await fixture.events()
        outcome.audit = try await fixture.audit()
        outcome.state = try await fixture.state()
        outcome.versions = try await fixture.secrets.describe(fixture.path, by: Fixture.ada).versions.map {
            "\($0.number) \($0.deletedAt != nil) \($0.isDestroyed)"
        }
        for version in [nil, 1, 2, 3] { outcome.read.append(try await fixture.read(Fixture.ada, version)) }
        outcome.firing = try await fixture.firing().count
        return outcome
    }

    @Test("wherever it is killed, each step is done once and told once", arguments: TestEngine.available)
    func killed(_ engine: TestEngine) async throws {
        let expected = try #require(try await Self.outcome(engine, dyingIn: nil, at: 0, isKept: false))
        #expect(expected.read == ["third-value", "gone", "gone", "third-value"])
        #expect(expected.versions == ["1 true false", "2 false true", "3 false false"])
        #expect(expected.firing == 1 && expected.state == .retired)
        var kills = 0
        for step in Step.allCases {
            for isKept in [false, true] {
                for write in 1..<10 {
                    guard let outcome = try await Self.outcome(engine, dyingIn: step, at: write, isKept: isKept) else {
                        break
                    }
                    kills += 1
                    #expect(outcome == expected, "killed in \(step) at write \(write), kept: \(isKept)")
                }
            }
        }
        #expect(kills >= 2 * Step.allCases.count, "\(kills)")
    }
}
