import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Control

@Suite("On-call in the store")
struct OnCallServiceTests {
    /// Remembers what came, and fails as often as it is told to.
    final class Receiver: OnCallNotifying {
        private let state = Mutex((keys: [String](), failures: 0, dies: false))

        var keys: [String] { state.withLock { $0.keys } }
        func fail(times: Int) { state.withLock { $0.failures = times } }

        func notify(_ notice: OnCallNotice) async throws {
            try state.withLock { state in
                state.keys.append("\(notice.person ?? "-") \(notice.channel?.address ?? "-") #\(notice.attempts)")
                guard state.failures > 0 else { return }
                state.failures -= 1
                throw Problem(.storageUnavailable, "the line is dead")
            }
        }
    }

    /// A receiver that never answers.
    struct Silence: OnCallNotifying {
        let world: World
        func notify(_ notice: OnCallNotice) async throws { try await world.time.sleep(for: .hours(24)) }
    }

    struct Fixture: Sendable {
        let time: ManualTime
        let world: World
        let receiver = Receiver()
        let storage: any Storage
        let events: Events

        init(_ storage: any Storage) {
            time = ManualTime(OnCallFixture.time("2026-11-20T08:00:00Z"))
            world = .test(time: time)
            self.storage = storage
            events = Events(world: world)
        }

        func service(
            _ text: String? = OnCallFixture.text(layers: OnCallFixture.weekly), _ notifier: (any OnCallNotifying)? = nil
        ) throws -> OnCallService {
            OnCallService(
                plan: try text.map(OnCallReader.read), notifier: notifier ?? receiver, events: events,
                audit: AuditService(world: world), storage: storage, world: world)
        }

        func types() async throws -> [String] {
            try await storage.read { [events] in try events.store.list(after: 0, limit: 1_000, in: $0).map(\.type) }
        }

        func pass(_ span: Span, _ service: OnCallService) async throws {
            time.advance(by: span)
            try await service.step(time.now)
        }
    }

    static func with(_ engine: TestEngine, _ body: (Fixture) async throws -> Void) async throws {
        let migrations = OnCallSchema.migrations + AuditSchema.migrations + EventSchema.migrations
        try await withStorage(engine, migrations: migrations) { try await body(Fixture($0)) }
    }

    static let ada = Principal(keyID: "key_ada", name: "ada", role: .operator_)

    private static func page(
        _ service: OnCallService, _ fixture: Fixture, severity: String = "critical",
        path: OnCallPlan.Path = .infrastructure
    ) async throws -> Escalation? {
        try await fixture.storage.write {
            try service.page(incident: "inc_1", title: "Agents are down", severity: severity, path: path, in: $0)
        }
    }

    @Test("people are told one after the other until somebody acknowledges", arguments: TestEngine.available)
    func chain(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            let escalation = try #require(try await Self.page(service, fixture))
            // The same incident again is the same escalation.
            #expect(try await Self.page(service, fixture)?.id == escalation.id)
            for _ in 0..<3 { try await service.step(fixture.time.now) }
            // It is linus' week.
            #expect(fixture.receiver.keys == ["linus https://ntfy.example.org/linus #1"])
            try await fixture.pass(.minutes(5), service)
            #expect(
                Set(fixture.receiver.keys.dropFirst()) == [
                    "grace grace-phone #1", "grace grace@example.org #1", "- ops-room #1",
                ])
            try await fixture.storage.write {
                _ = try service.acknowledge(incident: "inc_1", by: Self.ada, in: $0)
                _ = try service.acknowledge(incident: "inc_1", by: Self.ada, in: $0)
            }
            for _ in 0..<5 { try await fixture.pass(.hours(1), service) }
            #expect(fixture.receiver.keys.count == 4)
            #expect(
                try await fixture.types() == ["oncall.paged", "oncall.paged", "oncall.paged", "oncall.acknowledged"])
            let notices = try await fixture.storage.read {
                try service.store.notices(of: escalation.id, limit: 10, in: $0)
            }
            #expect(notices.map(\.state) == Array(repeating: .sent, count: 4))
            #expect(Set(notices.map(\.key)).count == 4)
        }
    }

    @Test("behavioural faults go another way, by severity; an end ends it", arguments: TestEngine.available)
    func paths(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            #expect(try await Self.page(service, fixture, severity: "warning", path: .behavioural)?.chain == "quiet")
            try await service.step(fixture.time.now)
            #expect(fixture.receiver.keys == ["- ops-room #1"])
            try await fixture.storage.write { _ = try service.end(incident: "inc_1", in: $0) }
            try await fixture.pass(.hours(1), service)
            #expect(try await fixture.types() == ["oncall.paged"])
            // An incident that comes back is told anew.
            #expect(try await Self.page(service, fixture, path: .behavioural)?.chain == "people")
        }
    }

    @Test("nobody is told without a file, and nothing of it fails", arguments: TestEngine.available)
    func none(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service(nil)
            #expect(try await Self.page(service, fixture) == nil)
            let found = try await fixture.storage.write { transaction in
                [
                    try service.acknowledge(incident: "inc_1", by: Self.ada, in: transaction),
                    try service.end(incident: "inc_1", in: transaction),
                ]
            }
            #expect(found == [nil, nil])
            try await service.step(fixture.time.now)
            #expect(try await fixture.types().isEmpty)
        }
    }

    @Test("all were told and nobody answered: it says so, once", arguments: TestEngine.available)
    func exhausted(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            _ = try await Self.page(service, fixture)
            for _ in 0..<60 { try await fixture.pass(.minutes(1), service) }
            let types = try await fixture.types()
            #expect(types.count { $0 == "oncall.paged" } == 6)
            #expect(types.count { $0 == "oncall.exhausted" } == 1)
            #expect(types.last == "oncall.exhausted")
        }
    }

    @Test("a gap is told as one, and the next is told at once", arguments: TestEngine.available)
    func gap(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let layers = "- {name: l, people: [ada, grace, linus], starts: 2027-01-01, length: 1d}"
            let service = try fixture.service(OnCallFixture.text(layers: layers))
            _ = try await Self.page(service, fixture)
            try await service.step(fixture.time.now)
            #expect(fixture.receiver.keys.count == 3)
            #expect(try await fixture.types() == ["oncall.nobody", "oncall.paged", "oncall.paged"])
        }
    }

    @Test("what does not arrive is tried again with pauses, so often and no more", arguments: TestEngine.available)
    func retries(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            fixture.receiver.fail(times: 2)
            let escalation = try #require(try await Self.page(service, fixture, severity: "x", path: .behavioural))
            try await service.step(fixture.time.now)
            try await fixture.pass(.milliseconds(4_999), service)
            #expect(fixture.receiver.keys.count == 1)
            try await fixture.pass(.milliseconds(1), service)
            try await fixture.pass(.milliseconds(9_999), service)
            #expect(fixture.receiver.keys.count == 2)
            try await fixture.pass(.milliseconds(1), service)
            #expect(fixture.receiver.keys.last == "- ops-room #3")
            try await fixture.pass(.minutes(3), service)
            #expect(fixture.receiver.keys.count == 3)
            func states() async throws -> [OnCallNotice.State] {
                try await fixture.storage.read {
                    try service.store.notices(of: escalation.id, limit: 9, in: $0).map(\.state)
                }
            }
            #expect(try await states() == [.sent])
            // Another one, to a line that stays dead.
            _ = try await fixture.storage.write { try service.end(incident: "inc_1", in: $0) }
            fixture.receiver.fail(times: .max)
            let other = try #require(try await Self.page(service, fixture, severity: "x", path: .behavioural))
            for _ in 0..<30 { try await fixture.pass(.minutes(1), service) }
            #expect(fixture.receiver.keys.count == 3 + OnCallService.attemptsMax)
            let notices = try await fixture.storage.read { try service.store.notices(of: other.id, limit: 9, in: $0) }
            #expect(notices.map(\.state) == [.failed])
            #expect(notices[0].error == "the line is dead")
            #expect(try await fixture.types().count { $0 == "oncall.notice_failed" } == 1)
        }
    }

    @Test(
        "what was written down and not sent is sent by the next process, under the same key",
        arguments: TestEngine.available)
    func killed(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            _ = try await Self.page(service, fixture, severity: "x", path: .behavioural)
            // A process that ends within its try: the notice is claimed, and nothing was heard of it.
            let claimed = try await fixture.storage.write { transaction in
                let now = fixture.time.now
                var escalation = try #require(try service.store.due(at: now, limit: 9, in: transaction).first)
                for notice in escalation.due(at: now, { _ in [(nil, .receiver("ops-room"))] }) {
                    try service.store.insert(notice, in: transaction)
                    // The same step again is the same notice.
                    try service.store.insert(notice, in: transaction)
                }
                try service.store.update(escalation, in: transaction)
                return try service.store.claim(
                    at: now, until: now + OnCallService.lease, in: transaction)
            }
            #expect(claimed.count == 1)
            let next = try fixture.service()
            try await fixture.pass(.seconds(59), next)
            #expect(fixture.receiver.keys.isEmpty)
            try await fixture.pass(.seconds(1), next)
            #expect(fixture.receiver.keys == ["- ops-room #2"])
        }
    }

    @Test("a notice that ends every process which tries it is not tried for ever", arguments: TestEngine.available)
    func deadly(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            // Its first try, within a process that hears of nothing.
            fixture.receiver.fail(times: 1)
            let escalation = try #require(try await Self.page(service, fixture, severity: "x", path: .behavioural))
            try await service.step(fixture.time.now)
            for _ in 1..<OnCallService.attemptsMax {
                fixture.time.advance(by: OnCallService.lease)
                let now = fixture.time.now
                let claimed = try await fixture.storage.write {
                    try service.store.claim(at: now, until: now + OnCallService.lease, in: $0)
                }
                #expect(claimed.count == 1)
            }
            for _ in 0..<10 { try await fixture.pass(OnCallService.lease, service) }
            #expect(fixture.receiver.keys == ["- ops-room #1"])
            let notices = try await fixture.storage.read {
                try service.store.notices(of: escalation.id, limit: 9, in: $0)
            }
            #expect(notices.map(\.state) == [.failed])
            #expect(notices[0].error == "The server ended during each try.")
        }
    }

    @Test("a receiver that does not answer keeps nobody waiting for ever", arguments: TestEngine.available)
    func silence(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service(
                OnCallFixture.text(layers: OnCallFixture.weekly), Silence(world: fixture.world))
            let escalation = try #require(try await Self.page(service, fixture))
            async let step: Void = service.step(fixture.time.now)
            // The try, its end, and the next look.
            await fixture.time.sleepers(atLeast: 3)
            fixture.time.advance(by: OnCallService.sendingMax)
            try await step
            let notices = try await fixture.storage.read {
                try service.store.notices(of: escalation.id, limit: 9, in: $0)
            }
            #expect(notices.map(\.state) == [.pending])
            #expect(notices[0].error == "It took longer than 30 s.")
        }
    }

    /// Answers by the way: one hangs until it is let go.
    final class OneHangs: OnCallNotifying {
        let gate = AsyncStream<Void>.makeStream()
        private let told = Mutex<[String]>([])
        var names: [String] { told.withLock { $0.sorted() } }

        func notify(_ notice: OnCallNotice) async throws {
            if notice.channel == .receiver("hangs") { for await _ in gate.stream { break } }
            told.withLock { $0.append("\(notice.channel?.address ?? "") \(notice.incident)") }
        }
    }

    @Test("one receiver that hangs keeps no other from being told, also of what comes later")
    func hanging() async throws {
        let others = (0..<10).map { "room\($0)" }
        let steps = (["hangs"] + others).map { "{notify: {receiver: \($0)}}" }.joined(separator: ", ")
        let people = "people: [{name: ada, contact: {receivers: [room0]}}]\n"
        let file = people + "chains: [{name: all, steps: [\(steps)]}]\npaths: {default: all}\n"
        try await Self.with(.sqlite) { fixture in
            let receivers = OneHangs()
            let service = try fixture.service(file, receivers)
            func page(_ incident: String) async throws {
                try await fixture.storage.write {
                    _ = try service.page(
                        incident: incident, title: "x", severity: "critical", path: .infrastructure, in: $0)
                }
            }
            func wait(for count: Int) async {
                while receivers.names.count < count { await Task.yield() }
            }
            try await page("first")
            async let step: Void = service.step(fixture.time.now)
            await wait(for: 10)
            #expect(receivers.names == others.map { "\($0) first" })
            // The round goes on while one hangs: what begins now is told a look later.
            try await page("second")
            while fixture.time.nextWake != fixture.time.now + OnCallService.lookInterval { await Task.yield() }
            fixture.time.advance(by: OnCallService.lookInterval)
            await wait(for: 20)
            #expect(receivers.names.filter { $0.hasSuffix("second") } == others.map { "\($0) second" })
            receivers.gate.continuation.finish()
            await wait(for: 22)
            try await step
            #expect(receivers.names.filter { $0.hasPrefix("hangs") } == ["hangs first", "hangs second"])
        }
    }

    @Test("so many go one way at one time, and of one escalation one after the other")
    func flights() throws {
        func notice(_ escalation: String, _ channel: String) -> OnCallNotice {
            let escalation = Escalation.reminder(
                id: Identifier(stored: escalation), incident: "i", title: "", path: .infrastructure,
                at: Timestamp(microseconds: 0))
            return OnCallNotice.reminding(
                escalation, [(nil, .receiver(channel))], at: Timestamp(microseconds: 0))[0]
        }
        var flights = OnCallFlights()
        for number in 0..<OnCallService.sendsOneWayMax {
            #expect(flights.mayBegin(notice("\(number)", "slow")))
            flights.begin(notice("\(number)", "slow"))
        }
        #expect(!flights.mayBegin(notice("another", "slow")))
        #expect(flights.full == [.receiver("slow")])
        for number in 0..<(OnCallService.sendsMax - OnCallService.sendsOneWayMax) {
            flights.begin(notice("\(number)", "way\(number)"))
            #expect(!flights.mayBegin(notice("\(number)", "way\(number)")))
        }
        #expect(!flights.mayBegin(notice("another", "free")))
        flights.end(notice("0", "slow"))
        #expect(flights.mayBegin(notice("another", "free")) && flights.full.isEmpty)
    }

    @Test("a postmortem's reminder reaches whoever answered, once, and is tried again", arguments: TestEngine.available)
    func reminders(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            func remind(_ incident: String) async throws {
                try await fixture.storage.write {
                    try service.remind(
                        incident: incident, title: "Postmortem due", severity: "critical", path: .infrastructure,
                        in: $0)
                }
                try await service.step(fixture.time.now)
            }
            _ = try await Self.page(service, fixture)
            try await service.step(fixture.time.now)
            // Linus was told; ada took it.
            try await fixture.storage.write { _ = try service.acknowledge(incident: "inc_1", by: Self.ada, in: $0) }
            fixture.receiver.fail(times: 1)
            try await remind("inc_1")
            try await fixture.pass(.seconds(5), service)
            try await fixture.pass(.minutes(5), service)
            #expect(fixture.receiver.keys.dropFirst() == ["ada ada-phone #1", "ada ada-phone #2"])
            // Nobody was told of this one: whoever is on call hears of it.
            try await remind("inc_2")
            #expect(fixture.receiver.keys.last == "linus https://ntfy.example.org/linus #1")
            #expect(try await fixture.types().suffix(1) == ["oncall.reminded"])
            fixture.receiver.fail(times: .max)
            try await remind("inc_1")
            try await fixture.storage.write { try service.remindNoMore(incident: "inc_1", in: $0) }
            let count = fixture.receiver.keys.count
            for _ in 0..<5 { try await fixture.pass(.minutes(1), service) }
            #expect(fixture.receiver.keys.count == count)
        }
    }

    @Test("what waits is not sent once somebody has it", arguments: TestEngine.available)
    func dropped(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            fixture.receiver.fail(times: .max)
            let escalation = try #require(try await Self.page(service, fixture))
            try await service.step(fixture.time.now)
            try await fixture.storage.write { _ = try service.acknowledge(incident: "inc_1", by: Self.ada, in: $0) }
            for _ in 0..<10 { try await fixture.pass(.minutes(1), service) }
            #expect(fixture.receiver.keys.count == 1)
            let notices = try await fixture.storage.read {
                try service.store.notices(of: escalation.id, limit: 9, in: $0)
            }
            #expect(notices.map(\.state) == [.dropped])
        }
    }

    @Test("an override counts while it lasts, and until it is removed", arguments: TestEngine.available)
    func overrides(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            let now = fixture.time.now
            let cover = try await fixture.storage.write {
                try service.cover(
                    schedule: nil, person: "ada", from: now - .hours(5), until: now + .hours(2), reason: "a swap",
                    by: Self.ada, in: $0)
            }
            // What is over stays as it was.
            #expect(cover.from == now)
            func on(_ time: Timestamp) async throws -> String? {
                let made = try await fixture.storage.read { try service.overrides(around: time, $0) }
                return service.plan?.schedule("platform")?.with(made).duty(at: time).person
            }
            #expect(try await on(now - .hours(1)) == "linus")
            #expect(try await on(now) == "ada")
            #expect(try await on(now + .hours(2)) == "linus")
            _ = try await Self.page(service, fixture)
            try await service.step(fixture.time.now)
            #expect(fixture.receiver.keys == ["ada ada-phone #1"])
            fixture.time.advance(by: .hours(1))
            try await fixture.storage.write {
                try service.remove(try #require(cover.id), by: Self.ada, in: $0)
            }
            #expect(try await on(now + .minutes(30)) == "ada")
            #expect(try await on(now + .minutes(90)) == "linus")
            await #expect(throws: Problem.self) {
                try await fixture.storage.write { try service.remove(try #require(cover.id), by: Self.ada, in: $0) }
            }
            let actions = try await fixture.storage.read { transaction in
                try AuditService(world: .test()).list(after: 0, limit: 10, in: transaction).map(\.action)
            }
            #expect(actions == ["oncall.overridden", "oncall.override_removed"])
        }
    }

    @Test("there are so many overrides and no more")
    func tooMany() async throws {
        try await Self.with(.sqlite) { fixture in
            let (service, now) = (try fixture.service(), fixture.time.now)
            @Sendable func cover(_ transaction: Transaction) throws {
                _ = try service.cover(
                    schedule: "platform", person: "ada", from: now, until: now + .hours(1), reason: nil, by: Self.ada,
                    in: transaction)
            }
            try await fixture.storage.write { for _ in 0..<OnCallService.overridesMax { try cover($0) } }
            await #expect(throws: Problem.self) { try await fixture.storage.write { try cover($0) } }
            fixture.time.advance(by: .hours(1))
            await #expect(throws: Problem.self) { try await fixture.storage.write { try cover($0) } }
        }
    }

    @Test("what ended long ago goes, with its notices", arguments: TestEngine.available)
    func purged(_ engine: TestEngine) async throws {
        try await Self.with(engine) { fixture in
            let service = try fixture.service()
            let escalation = try #require(try await Self.page(service, fixture))
            try await service.step(fixture.time.now)
            let loop = try #require(service.loops.first { $0.name == "oncall.purge" })
            fixture.time.advance(by: .hours(24 * 500))
            try await loop.body()
            _ = try await fixture.storage.write { try service.end(incident: "inc_1", in: $0) }
            fixture.time.advance(by: .hours(24 * 399))
            try await loop.body()
            func isThere() async throws -> Bool {
                try await fixture.storage.read { try service.store.escalation(escalation.id, in: $0) != nil }
            }
            #expect(try await isThere())
            fixture.time.advance(by: .hours(24 * 2))
            try await loop.body()
            #expect(try await !isThere())
        }
    }
}
