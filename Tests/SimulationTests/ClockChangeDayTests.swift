import Control
import TestSupport
import Testing

@testable import Kernel

/// A whole day on which the clocks change, in virtual time, on the real routes and loops: schedules fire, an agent
/// works through what they make, another one claims and falls silent, and Reeve restarts every six hours.
@Suite struct ClockChangeDayTests {
    /// A schedule of the day and, from the rules of the zone, the moments at which it has to fire.
    struct Expectation: Sendable {
        let name: String
        let cron: String
        let zone: String
        let ticks: [String]
    }

    struct Day: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let begin: String
        let expectations: [Expectation]
    }

    private static func each(_ minutes: Int, of begin: String) -> [String] {
        let begin = Timestamp(rfc3339: begin) ?? Timestamp(microseconds: 0)
        return stride(from: 0, to: 24 * 60, by: minutes).map { (begin + .minutes(Int64($0))).rfc3339 }
    }

    private static func day(_ name: String, begin: String, _ berlin: [(name: String, cron: String, at: String)]) -> Day
    {
        let daily = berlin.map {
            Expectation(name: $0.name, cron: $0.cron, zone: "Europe/Berlin", ticks: [$0.at])
        }
        let steady = [
            Expectation(name: "half-hourly", cron: "*/30 * * * *", zone: "Europe/Berlin", ticks: each(30, of: begin)),
            Expectation(name: "hourly-utc", cron: "0 * * * *", zone: "UTC", ticks: each(60, of: begin)),
        ]
        return Day(testDescription: name, begin: begin, expectations: daily + steady)
    }

    /// Berlin has no 02:00–03:00 on the first, and has it twice on the second; the change is at 01:00Z on both.
    static let days = [
        day(
            "clocks go forward", begin: "2026-03-28T22:00:00Z",
            [
                ("midnight", "0 0 * * *", "2026-03-28T23:00:00Z"), ("in-the-gap", "30 2 * * *", "2026-03-29T01:00:00Z"),
                ("before-it", "59 1 * * *", "2026-03-29T00:59:00Z"), ("noon", "0 12 * * *", "2026-03-29T10:00:00Z"),
            ]),
        day(
            "clocks go back", begin: "2026-10-24T21:00:00Z",
            [
                ("midnight", "0 0 * * *", "2026-10-24T22:00:00Z"),
                ("comes-twice", "30 2 * * *", "2026-10-25T00:30:00Z"),
                ("behind-it", "1 3 * * *", "2026-10-25T02:01:00Z"), ("noon", "0 12 * * *", "2026-10-25T11:00:00Z"),
            ]),
    ]

    /// Each day on one engine, and each engine with one of them: that they agree is the simulation's to prove.
    private static let runs = zip(days, [TestEngine.available.first, TestEngine.available.last].compactMap(\.self))

    @Test("schedules fire once each, and only silence costs a lease", arguments: runs)
    func passes(_ day: Day, _ engine: TestEngine) async throws {
        try await TestStorage.withLocation(engine) { location in
            var life = try DayOfLife(day, engine, location)
            try await life.run()
            await life.server.storage.close()
            try life.check(day)
        }
    }
}

/// The day as it goes by.
private struct DayOfLife {
    private static let step = Span.seconds(Int64(30))
    private static let stepsPerDay = 24 * 60 * 2
    private static let loops: Set = ["tasks.sweep", "agents.presence", "schedules.ticks"]
    private static let leaseSeconds: Int64 = 60
    private static let operatorKey = Principal(keyID: "key_olga", name: "olga", role: .operator_)
    /// Steps that the agent works on a task.
    private static let workSteps = 4

    private let time: ManualTime
    private let end: Timestamp
    var server: SimulatedServer
    private var before: StoreSnapshot?
    private let expectations: [ClockChangeDayTests.Expectation]
    /// The worker's task, its fence, and the steps that are still to do.
    private var work: (id: String, fence: Int64, left: Int)?
    /// Leases that were taken and left alone: when each runs out.
    private var forsaken: [String: Timestamp] = [:]
    private var lastSeq: Int64 = 0
    private var violations: [String] = []

    init(_ day: ClockChangeDayTests.Day, _ engine: TestEngine, _ location: StorageLocation) throws {
        let begin = try #require(Timestamp(rfc3339: day.begin))
        // A moment earlier, so that a tick at the very beginning is one of the day's.
        time = ManualTime(begin - Span.seconds(Int64(1)))
        end = begin + .hours(24)
        var settings = Simulation.settings
        settings.tasks.leaseSecondsDefault = Int(Self.leaseSeconds)
        server = try SimulatedServer(engine: engine, location: location, seed: 1, time: time, settings: settings)
        expectations = day.expectations
    }

    mutating func run() async throws {
        for one in expectations {
            let reply = await send(
                "/api/v1/schedules",
                [
                    "name": .string(one.name), "cron": .string(one.cron), "timezone": .string(one.zone),
                    "task": ["title": .string(one.name)],
                ], Self.operatorKey)
            try #require(reply.isAccepted, "\(reply.json)")
        }
        before = try await server.snapshot()
        for step in 0..<Self.stepsPerDay {
            time.set(end - .hours(24) + Span(microseconds: Self.step.microseconds * Int64(step)))
            try await server.tick(Self.loops)
            if step % 720 == 719 { server.restart() }
            if step % 60 == 0 { await forsake() }
            await workOn()
            try await look(isThorough: step % 120 == 0)
        }
        try await look(isThorough: true)
    }

    private func send(_ path: String, _ body: JSONValue, _ key: Principal) async -> SimulatedReply {
        await server.send(SimulatedRequest(path: path, body: body, principal: key))
    }

    /// An agent takes a task and is never heard of again.
    private mutating func forsake() async {
        let reply = await send("/api/v1/tasks/claim", ["queues": ["default"]], Simulation.key(of: "beta"))
        guard let id = reply.json["items"]?.array?.first?["task"]?["id"]?.string else { return }
        forsaken[id] = time.now + .seconds(Self.leaseSeconds)
    }

    /// The worker takes a task, says every step that it is alive, and completes it.
    private mutating func workOn() async {
        let key = Simulation.key(of: "alpha")
        guard var held = work else {
            let item = await send("/api/v1/tasks/claim", ["queues": ["default"]], key).json["items"]?.array?.first
            if let id = item?["task"]?["id"]?.string, let fence = item?["fence"]?.int {
                work = (id, fence, Self.workSteps)
            }
            return
        }
        held.left -= 1
        let isDone = held.left == 0
        let path = "/api/v1/tasks/\(held.id)/\(isDone ? "complete" : "heartbeat")"
        let reply = await send(path, ["fence": .int(held.fence)], key)
        if !reply.isAccepted { violations.append("\(time.now.rfc3339) \(path): \(reply.json.text)") }
        work = isDone ? nil : held
    }

    /// Looks at what happened since: a lease is lost where it was left alone, when it ran out, and nowhere else.
    private mutating func look(isThorough: Bool) async throws {
        let after = lastSeq
        let events = try await server.storage.read { try EventStore().list(after: after, limit: 1_000, in: $0) }
        lastSeq = events.last?.seq ?? lastSeq
        for event in events where event.type == "task.lease_lost" {
            guard let id = event.taskID, let deadline = forsaken.removeValue(forKey: id) else {
                violations.append("\(event.at.rfc3339) a lease was lost that somebody kept: \(event.taskID ?? "")")
                continue
            }
            // Behind a restart Reeve waits for the grace before it gives up on anybody.
            let patience = Self.step + .seconds(Int64(Simulation.settings.agents.failoverGraceSeconds))
            if event.at < deadline || event.at > deadline + patience {
                violations.append("\(id) ran out at \(deadline.rfc3339) and was taken at \(event.at.rfc3339)")
            }
        }
        for (id, deadline) in forsaken where time.now > deadline + .minutes(Int64(2)) {
            violations.append("\(id) ran out at \(deadline.rfc3339) and nobody took it")
        }
        guard isThorough else { return }
        let now = try await server.snapshot()
        if let before { violations += Invariants(before: before, after: now).violations }
        before = now
    }

    func check(_ day: ClockChangeDayTests.Day) throws {
        #expect(violations.isEmpty, "\(violations.prefix(5))")
        let store = try #require(before)
        for one in day.expectations {
            let fired = store.events.filter {
                $0.text("type") == "schedule.fired" && Self.data($0)["schedule"]?.string == one.name
            }
            let ticks = fired.compactMap { Self.data($0)["tick"]?.string }
            let wanted = try one.ticks.map { try #require(Timestamp(rfc3339: $0)).rfc3339 }
            #expect(ticks == wanted, "\(one.name)")
            let late = try fired.filter { event in
                let tick = try #require(Timestamp(rfc3339: Self.data(event)["tick"]?.string ?? ""))
                return event.int("at") - tick.microseconds > Self.step.microseconds
            }
            #expect(late.isEmpty, "\(one.name) fired late")
            let made = store.tasks.values.count { $0.text("title") == one.name }
            #expect(made == wanted.count, "\(one.name) made \(made) tasks")
        }
        let lost = store.events.count { $0.text("type") == "task.lease_lost" }
        #expect(lost > 20, "only \(lost) leases were left alone")
        let open = store.tasks.values.filter { !["done", "held"].contains($0.text("state")) }.count
        #expect(open <= 2, "\(open) tasks are still open")
    }

    private static func data(_ event: StoreSnapshot.Record) -> JSONValue {
        (try? JSONParser.parse(event.text("data"), depthMax: 64)) ?? .null
    }
}
