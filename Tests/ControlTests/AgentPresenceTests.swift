import Kernel
import Testing

@testable import Control

/// One line of the table: what is known of an agent, and what it is then.
private struct PresenceCase: Sendable, CustomTestStringConvertible {
    let name: String
    var current = AgentStatus.idle
    /// Seconds after time zero; `nil` where it was never heard of.
    var seenAt: Int64? = 100
    var now: Int64 = 105
    var isPaused = false
    var isDraining = false
    var isQuarantined = false
    var leased = 0
    var waiting = 0
    /// Seconds after time zero at which Reeve began.
    var startedAt: Int64 = 0
    let status: AgentStatus
    var wakesAt: Int64?

    var testDescription: String { name }
}

@Suite("Agents: presence")
struct AgentPresenceTests {
    private static let cases: [PresenceCase] = [
        PresenceCase(name: "registered, not come", current: .neverSeen, seenAt: nil, status: .neverSeen),
        PresenceCase(name: "nothing in hand", status: .idle, wakesAt: 120),
        PresenceCase(name: "a lease", leased: 1, status: .busy, wakesAt: 120),
        PresenceCase(name: "parked tasks only", waiting: 2, status: .waiting, wakesAt: 120),
        PresenceCase(name: "a lease and a parked task", leased: 1, waiting: 1, status: .busy, wakesAt: 120),
        PresenceCase(name: "draining with a lease", isDraining: true, leased: 1, status: .draining, wakesAt: 120),
        PresenceCase(name: "draining with nothing left", isDraining: true, status: .draining, wakesAt: 120),
        PresenceCase(name: "paused with a lease", isPaused: true, leased: 1, status: .paused, wakesAt: 120),
        PresenceCase(name: "paused beats draining", isPaused: true, isDraining: true, status: .paused, wakesAt: 120),
        PresenceCase(name: "paused before it came", current: .neverSeen, seenAt: nil, isPaused: true, status: .paused),
        PresenceCase(name: "a microsecond is enough", now: 119, status: .idle, wakesAt: 120),
        PresenceCase(name: "silent with a lease", now: 120, leased: 1, status: .unreachable),
        PresenceCase(name: "silent without one", now: 120, status: .offline),
        PresenceCase(name: "silent with parked tasks only", now: 120, waiting: 1, status: .offline),
        PresenceCase(name: "silence beats paused", now: 120, isPaused: true, status: .offline),
        PresenceCase(name: "silence beats draining", now: 120, isDraining: true, leased: 1, status: .unreachable),
        PresenceCase(name: "its lease ended", current: .unreachable, now: 500, status: .offline),
        PresenceCase(name: "it came back", current: .offline, seenAt: 500, now: 500, status: .idle, wakesAt: 520),
        PresenceCase(name: "quarantine beats work", isQuarantined: true, leased: 1, status: .quarantined),
        PresenceCase(name: "quarantine beats silence", now: 900, isQuarantined: true, status: .quarantined),
        PresenceCase(name: "quarantine beats pause", isPaused: true, isQuarantined: true, status: .quarantined),
        PresenceCase(
            name: "quarantine before it came", current: .neverSeen, seenAt: nil, isQuarantined: true,
            status: .quarantined),
        // Reeve restarts at 1,000 s with a failover grace of 300 s.
        PresenceCase(
            name: "seen before the start, within the grace", now: 1_299, startedAt: 1_000, status: .idle, wakesAt: 1_300
        ),
        PresenceCase(
            name: "seen before the start, with a lease", now: 1_299, leased: 1, startedAt: 1_000, status: .busy,
            wakesAt: 1_300),
        PresenceCase(name: "the grace is over", now: 1_300, startedAt: 1_000, status: .offline),
        PresenceCase(
            name: "the grace is over, with a lease", now: 1_300, leased: 1, startedAt: 1_000, status: .unreachable),
        PresenceCase(
            name: "given up on before the start", current: .offline, now: 1_001, startedAt: 1_000, status: .offline),
        PresenceCase(
            name: "seen since the start: no further grace", seenAt: 1_010, now: 1_030, startedAt: 1_000,
            status: .offline),
        PresenceCase(
            name: "seen shortly before the start, with a long interval to come", seenAt: 1_295, now: 1_301,
            startedAt: 1_296, status: .idle, wakesAt: 1_596),
    ]

    @Test("derives one word from facts alone", arguments: cases)
    fileprivate func derives(_ row: PresenceCase) {
        func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }
        var facts = AgentPresence.Facts(
            current: row.current, lastContactAt: row.seenAt.map(at), interval: .seconds(10))
        facts.isPaused = row.isPaused
        facts.isDraining = row.isDraining
        facts.isQuarantined = row.isQuarantined
        facts.leased = row.leased
        facts.waiting = row.waiting
        let clock = AgentPresence.Clock(
            now: at(row.now), startedAt: at(row.startedAt), grace: .seconds(10), failoverGrace: .seconds(300))
        let presence = AgentPresence.derive(facts, clock)
        #expect(presence.status == row.status)
        #expect(presence.wakesAt == row.wakesAt.map(at))
    }

    @Test("is stable: nothing changes between now and the moment it names", arguments: cases)
    fileprivate func isStable(_ row: PresenceCase) {
        func at(_ seconds: Int64) -> Timestamp { Timestamp(microseconds: seconds * 1_000_000) }
        var facts = AgentPresence.Facts(current: row.status, lastContactAt: row.seenAt.map(at), interval: .seconds(10))
        facts.isPaused = row.isPaused
        facts.isDraining = row.isDraining
        facts.isQuarantined = row.isQuarantined
        facts.leased = row.leased
        facts.waiting = row.waiting
        let end = row.wakesAt.map { at($0) - Span(microseconds: 1) } ?? at(1_000_000)
        let clock = AgentPresence.Clock(
            now: end, startedAt: at(row.startedAt), grace: .seconds(10), failoverGrace: .seconds(300))
        #expect(AgentPresence.derive(facts, clock).status == row.status)
    }
}

@Suite("Agents: the heartbeats' pace")
struct HeartbeatPaceTests {
    @Test(
        "grows with the fleet, above the minimum",
        arguments: [(0, 10), (1, 10), (500, 10), (501, 11), (1_000, 20), (5_000, 100), (100_000, 2_000)])
    func grows(_ agents: Int, _ base: Int) {
        let names = (0..<500).map { "agent-\($0)" }
        let all = names.map {
            HeartbeatPace.seconds(agents: agents, perSecondTarget: 50, minimum: 10, agent: $0)
        }
        #expect(all.allSatisfy { $0 >= base && Double($0) <= Double(base) * 1.1 })
        // Every value of the tenth is used, so agents that started together drift apart.
        #expect(Set(all).count == min(base / 10 + 1, Set(all).count))
        #expect(Set(all).count > min(base / 10, 100))
    }

    @Test("is the same for one agent every time")
    func isDeterministic() {
        let first = HeartbeatPace.seconds(agents: 100_000, perSecondTarget: 50, minimum: 10, agent: "writer")
        let second = HeartbeatPace.seconds(agents: 100_000, perSecondTarget: 50, minimum: 10, agent: "writer")
        #expect(first == second)
    }

    @Test("bears a target and a minimum of nothing")
    func bearsZero() {
        #expect(HeartbeatPace.seconds(agents: 0, perSecondTarget: 0, minimum: 0, agent: "writer") == 1)
    }

    @Test("counts the fleet anew after ten seconds, not at each heartbeat")
    func countsSeldom() {
        let size = FleetSize()
        var counts = 0
        func count(_ seconds: Int64) -> Int {
            size.count(now: Timestamp(microseconds: seconds * 1_000_000)) {
                counts += 1
                return FleetSize.Count(total: counts, live: 0)
            }.total
        }
        #expect(count(100) == 1)
        #expect(count(109) == 1)
        size.grew()
        #expect(count(109) == 2)
        #expect(count(110) == 2)
        #expect(counts == 2)
        // A clock that was set back does not keep an old count for ever.
        #expect(count(50) == 3)
    }
}

@Suite("Agents: health URLs")
struct HealthURLTests {
    @Test(
        "takes http and https addresses of agents",
        arguments: [
            "http://127.0.0.1:8080/health", "https://agents.example/health?deep=1", "http://[::1]:9/health",
            "http://localhost", "http://10.0.0.7:1/", "HTTP://host/health", "http://192.168.1.1/",
        ])
    func takes(_ url: String) throws {
        #expect(try HealthURL.checked(url, field: "healthURL") == url)
    }

    @Test(
        "refuses other schemes, credentials, and addresses that no agent has",
        arguments: [
            "", "health", "/health", "ftp://host/health", "file:///etc/passwd", "gopher://host/", "javascript:alert(1)",
            "http://", "http:///health", "http://user@host/", "http://user:secret@host/", "http://host/#fragment",
            "http://host:0/", "http://host:70000/", "http://ho st/", "http://host/\u{0}", "http://host\\@other/",
            "http://169.254.169.254/latest/meta-data", "http://2852039166/", "http://0xA9FEA9FE/",
            "http://0251.0376.0251.0376/", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/",
            "http://[64:ff9b::a9fe:a9fe]/", "http://0.0.0.0/", "http://[::]/", "http://224.0.0.1/", "http://[ff02::1]/",
            "http://255.255.255.255/", "http://hôst/",
        ])
    func refuses(_ url: String) {
        #expect(throws: Problem.self) { try HealthURL.checked(url, field: "healthURL") }
    }

    @Test("refuses what is too long")
    func refusesLong() {
        #expect(throws: Problem.self) {
            try HealthURL.checked("http://host/" + String(repeating: "a", count: 2_000), field: "healthURL")
        }
    }
}

@Suite("Agents: health after polls")
struct AgentHealthTests {
    private static let now = Timestamp(microseconds: 1_000_000)

    @Test("one success heals, and more failures than the retries allow make unhealthy")
    func follows() {
        var health = AgentHealth()
        var seen: [AgentHealth.Status] = []
        let outcomes: [HealthOutcome] = [
            .failed("no answer"), .failed("no answer"), .failed("no answer"), .failed("no answer"),
            .answered(status: 204), .answered(status: 500), .answered(status: 302), .answered(status: 200),
        ]
        for outcome in outcomes {
            health = health.polled(outcome, at: Self.now, retries: 2)
            seen.append(health.status)
        }
        #expect(seen == [.unknown, .unknown, .unhealthy, .unhealthy, .healthy, .healthy, .healthy, .healthy])
        #expect(health.failures == 0)
        #expect(health.lastError == nil)
    }

    @Test("says what was wrong in its own words")
    func says() {
        #expect(HealthOutcome.answered(status: 200).error == nil)
        #expect(HealthOutcome.answered(status: 503).error == "it answered 503")
        #expect(HealthOutcome.answered(status: 301).error == "it answered 301, and redirects are not followed")
        #expect(HealthOutcome.failed("no answer within 3.0 s").error == "no answer within 3.0 s")
    }
}

@Suite("Agents: directives")
struct AgentDirectiveTests {
    @Test("each can be taken back, and leaves the rest alone")
    func applies() {
        let now = Timestamp(microseconds: 0)
        let agent = Agent(
            name: "writer", project: "default", labels: [:], capabilities: [], isPaused: false, isDraining: false,
            isQuarantined: false, status: .idle, statusSince: now, heartbeatSeconds: 10, health: AgentHealth(),
            messagesWaiting: 0, version: 1, createdAt: now, updatedAt: now)
        #expect(agent.refusal == nil)
        let paused = AgentDirective.pause.applied(to: agent, reason: "night")
        #expect(paused.refusal == "paused")
        #expect(paused.pausedReason == "night")
        let drained = AgentDirective.drain.applied(to: agent, reason: nil)
        #expect(drained.refusal == "draining")
        let both = AgentDirective.quarantine.applied(
            to: AgentDirective.drain.applied(to: paused, reason: nil), reason: nil)
        #expect(both.refusal == "quarantined")
        let released = AgentDirective.releaseQuarantine.applied(to: both, reason: nil)
        #expect(released.refusal == "paused")
        #expect(AgentDirective.resume.applied(to: released, reason: nil) == agent)
    }
}

@Suite("Ingest: reserved types")
struct IngestTypeTests {
    @Test(
        "Reeve's own names cannot be sent",
        arguments: [
            "task.completed", "task.anything", "agent.status_changed", "agent.registered", "agent.paused",
            "agent.quarantine_released", "key.created", "queue.paused", "review.approved", "task", "audit.x",
            "reeve.started",
        ])
    func reserved(_ type: String) {
        #expect(IngestService.isReserved(type))
    }

    @Test(
        "all others can, those of other control planes too",
        arguments: [
            "custom.task.completed", "agent.identity", "agent.status", "agent.note", "build.finished", "tasks.done",
            "note", "tool.called", "Task.completed",
        ])
    func free(_ type: String) {
        #expect(!IngestService.isReserved(type))
    }
}
