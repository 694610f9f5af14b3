import Kernel
import TestSupport
import Testing

@testable import Gateway

/// How the tasks of one model are handed out.
@Suite struct TaskRampTests {
    static let start = Timestamp(microseconds: 1_000_000_000)
    static let well = health(closed: 1)
    static let dead = health()
    static let probing = health(probing: 1)

    static func health(closed: Int = 0, probing: Int = 0, openings: Int = 1) -> TaskRamp.Health {
        TaskRamp.Health(targets: .init(closed: closed, probing: probing, total: 2), openings: openings)
    }

    static func at(_ seconds: Int64) -> Timestamp { start + .seconds(seconds) }

    private func outage() -> TaskRamp {
        var ramp = TaskRamp()
        ramp.update(Self.dead, at: Self.start)
        return ramp
    }

    @Test func allGoWhileTheModelIsWell() {
        var ramp = TaskRamp()
        #expect(ramp.admit(100, Self.well, at: Self.start) == .tasks(100))
        #expect(ramp.isNormal && ramp.share == 1 && ramp.since == nil && !ramp.holdsAll(Self.well))
    }

    @Test func noneGoInAnOutage() {
        var ramp = outage()
        #expect(ramp.admit(100, Self.dead, at: Self.at(1)) == .tasks(0))
        #expect(ramp.holdsAll(Self.dead) && ramp.share == 0 && ramp.since == Self.start)
        #expect(ramp.admit(0, Self.probing, at: Self.at(1)) == .tasks(0))
    }

    @Test func oneProbeAtATime() {
        var ramp = outage()
        #expect(!ramp.holdsAll(Self.probing))
        #expect(ramp.admit(100, Self.probing, at: Self.at(1)) == .probe)
        #expect(ramp.holdsAll(Self.probing))
        #expect(ramp.admit(100, Self.probing, at: Self.at(2)) == .tasks(0))
    }

    /// What makes room for another probe, once one went at 1 s and its claim was kept.
    static let ends: [(seen: TaskRamp.Health, at: Int64, isRoom: Bool)] = [
        (probing, 30, false),
        // Nobody heard of it for so long.
        (probing, 31, true),
        // Its call is under way, or failed.
        (dead, 2, true), (health(probing: 1, openings: 2), 2, true),
        // A clock that was set back.
        (probing, 0, true),
    ]

    @Test(arguments: ends.indices)
    func anotherProbeFollows(_ index: Int) {
        let end = Self.ends[index]
        var ramp = outage()
        #expect(ramp.admit(1, Self.probing, at: Self.at(1)) == .probe)
        ramp.probeLeft(at: Self.at(1))
        ramp.update(end.seen, at: Self.at(end.at))
        let now = Self.health(probing: 1, openings: end.seen.openings)
        #expect(ramp.admit(1, now, at: Self.at(end.at)) == (end.isRoom ? .probe : .tasks(0)))
    }

    @Test func aProbeWhoseClaimWasUndoneHoldsUpNobodyForLong() {
        var ramp = outage()
        #expect(ramp.admit(1, Self.probing, at: Self.at(1)) == .probe)
        #expect(ramp.admit(1, Self.probing, at: Self.at(5)) == .tasks(0))
        #expect(ramp.admit(1, Self.probing, at: Self.at(6)) == .probe)
    }

    @Test func aGrowingShareFollows() {
        var ramp = outage()
        // The first one, and a tenth of the other 99.
        #expect(ramp.admit(100, Self.well, at: Self.at(1)) == .tasks(10))
        #expect(ramp.share == 0.1 && !ramp.holdsAll(Self.well))
        #expect(ramp.admit(100, Self.well, at: Self.at(21)) == .tasks(25))
        #expect(ramp.admit(100, Self.well, at: Self.at(41)) == .tasks(50))
        #expect(ramp.admit(100, Self.well, at: Self.at(61)) == .tasks(100))
        #expect(ramp.isNormal)
    }
}

/// The models of a gateway together, by their breakers.
@Suite struct DispatchRampsTests {
    private struct Fixture {
        let time = ManualTime()
        let gateway: GatewaySettings
        let ramps: DispatchRamps
        var targets: [String: [TargetState]] = [:]

        init() throws {
            let target = "targets: [{provider: main, model: x-2024-08-06}, {provider: main, model: y-2024-08-06}]"
            let breaker = "breaker: {failures: 1, openSeconds: 10, rampSeconds: 60}"
            gateway = try GatewaySettings(
                YAMLDocument.parse(
                    """
                    providers: {main: {kind: openai, baseURL: "http://127.0.0.1:1/v1"}}
                    models:
                      small: {tier: cheap, \(target), \(breaker)}
                      spare: {tier: cheap, \(target), \(breaker)}
                      large: {tier: premium, \(target), \(breaker)}
                    """))
            let world = World.test(time: time)
            ramps = DispatchRamps(gateway, world: world)
            for model in gateway.models {
                let states = try model.targets.map { target in
                    TargetState(
                        target, provider: try #require(gateway.provider("main")), providerNumber: 0, model: model,
                        world: world, signal: ramps.signal)
                }
                targets[model.name] = states
                ramps.watch(model, states)
            }
        }

        /// Sends a call to one target, or to all of them.
        func send(_ outcome: Breaker.Outcome, to model: String, target: Int? = nil) {
            for (index, state) in (targets[model] ?? []).enumerated() where target == nil || target == index {
                guard let (permit, _) = state.admit(nil, tokens: 1, at: time.now) else { continue }
                state.record(permit, outcome, at: time.now)
            }
        }
    }

    private static let ill = Breaker.Outcome.failed(.serverError(retryAfter: nil))
    private static let well = Breaker.Outcome.succeeded(latency: .milliseconds(5), firstToken: nil)

    @Test func anOutageIsSeenByTheVeryNextQuestion() throws {
        let fixture = try Fixture()
        let ramps = fixture.ramps
        #expect(!ramps.isHoldingBack && ramps.heldBack().isEmpty)
        fixture.send(Self.ill, to: "small", target: 0)
        #expect(!ramps.isHoldingBack, "one target is left")
        fixture.send(Self.ill, to: "small", target: 1)
        #expect(ramps.isHoldingBack)
        // The tier is what its first model is; the second one of the tier is well, and so is the other tier.
        #expect(ramps.heldBack() == ["small", "tier:cheap"])
        #expect(ramps.admit("small", count: 5) == (0, false) && ramps.admit("tier:cheap", count: 5) == (0, false))
        #expect(ramps.admit("spare", count: 5) == (5, false) && ramps.admit("tier:premium", count: 5) == (5, false))
        #expect(ramps.admit("none such", count: 5) == (5, false))
        let standing = try #require(ramps.standing(of: "tier:cheap"))
        #expect(standing.model == "small" && standing.state == .outage && standing.share == 0)
        #expect(standing.since == fixture.time.now)
        #expect(ramps.standing(of: "large")?.state == .normal && ramps.standing(of: "none such") == nil)
    }

    @Test func itComesBackByAProbeAndByTheClock() async throws {
        let fixture = try Fixture()
        let (ramps, time) = (fixture.ramps, fixture.time)
        #expect(!ramps.takeSteps())
        fixture.send(Self.ill, to: "small")
        #expect(!ramps.takeSteps(), "nothing is worth a look yet")
        time.advance(by: .seconds(10))
        #expect(ramps.takeSteps(), "a probe may go")
        #expect(!ramps.takeSteps(), "that was said")
        #expect(ramps.heldBack().isEmpty)
        #expect(ramps.admit("tier:cheap", count: 5) == (1, true))
        ramps.probeLeft("tier:cheap")
        #expect(ramps.heldBack() == ["small", "tier:cheap"])
        fixture.send(Self.well, to: "small", target: 1)
        #expect(ramps.takeSteps() && ramps.heldBack().isEmpty)
        #expect(ramps.admit("small", count: 10) == (1, false))
        #expect(ramps.standing(of: "small")?.share == 0.1)
        time.advance(by: .seconds(20))
        #expect(ramps.takeSteps() && ramps.standing(of: "small")?.share == 0.25)
        time.advance(by: .seconds(40))
        #expect(ramps.takeSteps() && !ramps.isHoldingBack)
        #expect(ramps.admit("small", count: 10) == (10, false))
    }

    @Test func outagesAreToldOnceAndAgainWhereThatFailed() async throws {
        let fixture = try Fixture()
        let (ramps, time) = (fixture.ramps, fixture.time)
        let began = time.now
        fixture.send(Self.ill, to: "small")
        await #expect(throws: Problem.self) { try await ramps.tellOutages { _ in throw Problem(.conflict, "no") } }
        var told: [DispatchRamps.Change] = []
        for _ in 0..<2 { try await ramps.tellOutages { told += $0 } }
        let targets = ["main/x-2024-08-06", "main/y-2024-08-06"]
        #expect(told == [.init(model: "small", began: true, at: began, since: nil, targets: targets)])
        time.advance(by: .seconds(15))
        fixture.send(Self.well, to: "small", target: 0)
        _ = ramps.takeSteps()
        for _ in 0..<2 { try await ramps.tellOutages { told += $0 } }
        let ended = DispatchRamps.Change(
            model: "small", began: false, at: time.now, since: began, targets: targets)
        #expect(told.dropFirst() == [ended])
        time.advance(by: .minutes(2))
        #expect(ramps.takeSteps() && !ramps.isHoldingBack)
    }

    @Test("After a new start an outage goes on with a probe, and calls of the model are probes too")
    func aNewStart() async throws {
        let fixture = try Fixture()
        let ramps = fixture.ramps
        let since = fixture.time.now - .seconds(90)
        ramps.resume([("small", since), ("gone", since)])
        #expect(ramps.isHoldingBack && ramps.standing(of: "small")?.state == .outage)
        #expect(
            fixture.targets["small"]?.allSatisfy { $0.snapshot(at: fixture.time.now).cause == .beforeStart } == true)
        #expect(fixture.targets["large"]?.allSatisfy { $0.snapshot(at: fixture.time.now).state == .closed } == true)
        #expect(ramps.admit("small", count: 5) == (1, true) && ramps.admit("small", count: 5) == (0, false))
        var told: [DispatchRamps.Change] = []
        try await ramps.tellOutages { told += $0 }
        #expect(told.isEmpty, "its beginning was told by the process before")
        fixture.send(Self.well, to: "small", target: 0)
        _ = ramps.takeSteps()
        try await ramps.tellOutages { told += $0 }
        #expect(told.map(\.began) == [false] && told.first?.since == since)
    }

    @Test func anOperatorEndsIt() throws {
        let fixture = try Fixture()
        fixture.send(Self.ill, to: "large")
        #expect(fixture.ramps.heldBack() == ["large", "tier:premium"])
        fixture.targets["large"]?.first?.reset(at: fixture.time.now)
        #expect(fixture.ramps.takeSteps() && fixture.ramps.standing(of: "large")?.state == .ramping)
    }
}
