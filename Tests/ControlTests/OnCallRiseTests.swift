import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Control

@Suite("What becomes worse is told to others, and what is over is told where it stays open")
struct OnCallRiseTests {
    typealias Fixture = OnCallServiceTests.Fixture

    /// Keeps pages open, and remembers what it was told.
    private final class Pager: OnCallNotifying {
        private let state = Mutex((told: [String](), isDead: false))

        var told: [String] { state.withLock { $0.told } }
        func die() { state.withLock { $0.isDead = true } }

        func notify(_ notice: OnCallNotice) async throws {
            try state.withLock { state in
                state.told.append("\(notice.action) \(notice.channel?.address ?? "-")")
                if state.isDead { throw Problem(.storageUnavailable, "the line is dead") }
            }
        }

        func keepsOpen(_ channel: OnCallChannel) -> Bool { channel == .receiver("ops-room") }
    }

    private static let chains = """
        chains:
          - {name: quiet, steps: [{notify: {receiver: ops-room}}]}
          - {name: loud, steps: [{notify: {person: ada}}, {notify: {receiver: ops-room}}]}
        paths: {infrastructure: {critical: loud, warning: quiet}, behavioural: quiet}

        """
    private static let text = OnCallFixture.text(layers: OnCallFixture.weekly, chains: chains)

    private static func page(
        _ severity: String, _ service: OnCallService, _ fixture: Fixture, path: OnCallPlan.Path = .infrastructure
    ) async throws -> Escalation {
        let escalation = try await fixture.storage.write {
            try service.page(incident: "inc_1", title: "It is down", severity: severity, path: path, in: $0)
        }
        try await service.step(fixture.time.now)
        return try #require(escalation)
    }

    @Test(
        "a warning that becomes critical pages the critical chain once, whatever happens to it then",
        arguments: TestEngine.available)
    func rise(_ engine: TestEngine) async throws {
        try await OnCallServiceTests.with(engine) { fixture in
            let service = try fixture.service(Self.text)
            let first = try await Self.page("warning", service, fixture)
            #expect(first.chain == "quiet")
            _ = try await fixture.storage.write { try service.acknowledge(incident: "inc_1", by: .system, in: $0) }
            let second = try await Self.page("critical", service, fixture)
            #expect((second.chain, second.severity) == ("loud", "critical"))
            // Those of one page are told side by side.
            let told = fixture.receiver.keys
            #expect(told.first == "- ops-room #1")
            #expect(told.dropFirst().sorted() == ["- ops-room #1", "ada ada-phone #1"])
            // Down, and up again, any number of times.
            for severity in ["warning", "critical", "info", "critical", "warning", "critical"] {
                #expect(try await Self.page(severity, service, fixture).id == second.id)
                fixture.time.advance(by: .seconds(1))
            }
            #expect(fixture.receiver.keys.count == 3)
            let (old, types) = try await fixture.storage.read { transaction in
                (
                    try service.store.escalation(first.id, in: transaction)?.state,
                    try fixture.events.store.list(after: 0, limit: 100, in: transaction).map(\.type)
                )
            }
            #expect(old == .ended)
            #expect(types == ["oncall.paged", "oncall.acknowledged", "oncall.raised", "oncall.paged", "oncall.paged"])
        }
    }

    @Test("where both take the same chain its people have been told, unless nobody answered")
    func sameChain() async throws {
        try await OnCallServiceTests.with(.sqlite) { fixture in
            let service = try fixture.service(Self.text)
            let first = try await Self.page("warning", service, fixture, path: .behavioural)
            let worse = try await Self.page("critical", service, fixture, path: .behavioural)
            #expect((worse.id, worse.severity) == (first.id, "critical"))
            #expect(fixture.receiver.keys.count == 1)
            _ = try await fixture.storage.write { try service.end(incident: "inc_1", in: $0) }
            let again = try await Self.page("warning", service, fixture, path: .behavioural)
            try await fixture.pass(.minutes(6), service)
            #expect(
                try await fixture.storage.read { try service.store.escalation(again.id, in: $0)?.state } == .exhausted)
            #expect(try await Self.page("critical", service, fixture, path: .behavioural).id != again.id)
            #expect(fixture.receiver.keys.count == 3)
        }
    }

    @Test("a page that stays open is acknowledged and resolved, others are not", arguments: TestEngine.available)
    func concluded(_ engine: TestEngine) async throws {
        try await OnCallServiceTests.with(engine) { fixture in
            let pager = Pager()
            let service = try fixture.service(Self.text, pager)
            _ = try await Self.page("critical", service, fixture)
            let pages = ["page ada-phone", "page ops-room"]
            #expect(pager.told.sorted() == pages)
            try await fixture.storage.write { _ = try service.acknowledge(incident: "inc_1", by: .system, in: $0) }
            try await fixture.pass(.seconds(1), service)
            #expect(pager.told.dropFirst(2) == ["acknowledge ops-room"])
            for _ in 0..<2 { try await fixture.storage.write { _ = try service.end(incident: "inc_1", in: $0) } }
            for _ in 0..<3 { try await fixture.pass(.minutes(1), service) }
            #expect(pager.told.dropFirst(3) == ["resolve ops-room"])
        }
    }

    /// Takes what PagerDuty would.
    private final class Courier: NotificationCourier {
        private let bodies = Mutex<[JSONValue]>([])

        func send(_ request: NotificationRequest) async -> NotificationOutcome {
            let body = (try? JSONParser.parse(request.body)) ?? .null
            bodies.withLock { $0.append(body) }
            return .http(202, "")
        }

        func send(_ mail: NotificationMail) async -> NotificationOutcome { NotificationOutcome(.delivered) }

        func told(_ name: String) -> [String] { bodies.withLock { $0.map { $0[name]?.string ?? "" } } }
    }

    @Test("PagerDuty has one alert an escalation, which is acknowledged and resolved", arguments: TestEngine.available)
    func pagerDuty(_ engine: TestEngine) async throws {
        try await OnCallServiceTests.with(engine) { fixture in
            let settings = try NotificationSettings(
                try JSONParser.parse(
                    #"{"receivers":[{"name":"ops-room","kind":"pagerduty","routingKeyEnvironment":"PATH"}]}"#))
            let (courier, world) = (Courier(), fixture.world)
            let notification = NotificationService(
                settings: settings, alerts: AlertService(events: fixture.events, world: world),
                silences: SilenceService(events: fixture.events, audit: AuditService(world: world), world: world),
                courier: courier, storage: fixture.storage, externalURL: { "https://reeve.example.org" },
                replica: "one", world: world)
            let chains = """
                chains:
                  - name: twice
                    steps: [{notify: {receiver: ops-room}}, {wait: 5m}, {notify: {receiver: ops-room}}]
                paths: {default: twice}

                """
            let service = try fixture.service(
                OnCallFixture.text(layers: OnCallFixture.weekly, chains: chains), notification)
            _ = try await Self.page("critical", service, fixture)
            try await fixture.pass(.minutes(5), service)
            try await fixture.storage.write { _ = try service.acknowledge(incident: "inc_1", by: .system, in: $0) }
            try await fixture.pass(.seconds(1), service)
            try await fixture.storage.write { _ = try service.end(incident: "inc_1", in: $0) }
            try await fixture.pass(.seconds(1), service)
            #expect(courier.told("event_action") == ["trigger", "trigger", "acknowledge", "resolve"])
            #expect(Set(courier.told("dedup_key")).count == 1)
            _ = try await Self.page("critical", service, fixture)
            #expect(Set(courier.told("dedup_key")).count == 2)
        }
    }

    @Test("a page that may be on its way is resolved behind it; one that was never tried is not resolved")
    func underWay() async throws {
        try await OnCallServiceTests.with(.sqlite) { fixture in
            let pager = Pager()
            pager.die()
            let service = try fixture.service(Self.text, pager)
            _ = try await Self.page("warning", service, fixture)
            try await fixture.storage.write { _ = try service.end(incident: "inc_1", in: $0) }
            try await fixture.pass(.seconds(1), service)
            #expect(pager.told == ["page ops-room"])
            try await fixture.pass(OnCallService.lease, service)
            #expect(pager.told == ["page ops-room", "resolve ops-room"])
            try await fixture.storage.write { transaction in
                _ = try service.page(
                    incident: "inc_2", title: "x", severity: "warning", path: .behavioural, in: transaction)
                _ = try service.end(incident: "inc_2", in: transaction)
            }
            try await fixture.pass(.seconds(1), service)
            #expect(!pager.told.contains { $0.contains("inc_2") })
            #expect(pager.told.count == 2)
        }
    }
}
