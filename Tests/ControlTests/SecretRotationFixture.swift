import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Control

/// What runs, as a test says it.
final class TestUsers: SecretUsers {
    private let tasks = Mutex<[RunningUse]>([])

    func set(_ running: [RunningUse]) { tasks.withLock { $0 = running } }

    func running(of agents: [String], limit: Int, in transaction: Transaction) throws -> [RunningUse] {
        tasks.withLock { tasks in tasks.filter { agents.contains($0.agent) } }
    }
}

/// Sessions that run, as a test says it.
final class TestSessions: Sendable {
    private let starts = Mutex<[String: Timestamp]>([:])

    var now: [String: Timestamp] { starts.withLock { $0 } }

    func set(_ sessions: [String: Timestamp]) { starts.withLock { $0 = sessions } }
}

/// A deployment, as a test says it.
final class TestDeployment: DeploymentWindow {
    private let reason = Mutex<String?>(nil)

    func set(_ words: String?) { reason.withLock { $0 = words } }

    func closed(at now: Timestamp, in transaction: Transaction) throws -> String? { reason.withLock { $0 } }
}

/// Answers probes as a test says, and remembers what was asked.
final class TestProber: SecretProber {
    private let state = Mutex<(answer: Result<Int, SecretProbeFault>, calls: [String])>((.success(200), []))

    var calls: [String] { state.withLock { $0.calls } }

    func set(_ answer: Result<Int, SecretProbeFault>) { state.withLock { $0.answer = answer } }

    func call(_ call: SecretProbeCall, timeout: Span) async -> Result<Int, SecretProbeFault> {
        state.withLock { state in
            state.calls.append("\(call.url) \(call.headers.map { "\($0.name)=\($0.value)" }.joined(separator: " "))")
            return state.answer
        }
    }
}

/// Rotations over a store of their own, at a time that the test moves.
struct RotationFixture: Sendable {
    static let ada = Principal(keyID: "key_ada", name: "ada", role: .operator_)
    static let migrations =
        SecretSchema.migrations + AuditSchema.migrations + EventSchema.migrations + AlertSchema.migrations
    static let ring = ["1 " + String(repeating: "1a", count: 32)]

    let storage: any Storage
    let time: ManualTime
    let world: World
    let secrets: SecretService
    let service: SecretRotationService
    let alerts: AlertService
    let users = TestUsers()
    let sessions = TestSessions()
    let deployment = TestDeployment()
    let prober = TestProber()
    let path: SecretPath

    init(
        _ storage: any Storage, time: ManualTime = ManualTime(), seed: UInt64 = 1, replica: String = "replica"
    ) throws {
        (self.storage, self.time) = (storage, time)
        world = World.test(seed: seed, time: time)
        let ring = try MasterKeyRing(SecretBytes(Self.ring.joined(separator: "\n")), from: "the test")
        let events = Events(world: world)
        secrets = SecretService(
            sealing: SecretSealing(Sealer(ring: ring, entropy: world.entropy)),
            watch: SecretWatch(entropy: world.entropy), events: events, audit: AuditService(world: world),
            storage: storage, world: world)
        alerts = AlertService(events: events, world: world)
        service = SecretRotationService(
            secrets: secrets,
            ground: .init(
                users: users, sessions: { [sessions] in sessions.now }, window: deployment, prober: prober,
                alerts: alerts, replica: replica))
        path = try SecretPath("project/marketing/openai")
    }

    static func with(_ engine: TestEngine, _ body: (RotationFixture) async throws -> Void) async throws {
        try await withStorage(engine, migrations: migrations) { storage in
            let fixture = try RotationFixture(storage)
            try await fixture.begin()
            try await body(fixture)
        }
    }

    /// A secret that two agents may read.
    func begin() async throws {
        _ = try await secrets.write(path, .put(Self.data("old-value")), by: Self.ada)
        _ = try await secrets.grant(path, to: ["writer", "reader"], by: Self.ada)
    }

    static func data(_ value: String) -> JSONObject { JSONObject([.init(name: "value", value: .string(value))]) }

    static func agent(_ name: String) -> Principal {
        Principal(keyID: "key_\(name)", name: name, role: .agent, agent: name)
    }

    /// What somebody reads; the code of the problem where it is refused, `gone` where it was taken away.
    func read(_ principal: Principal, _ version: Int? = nil) async throws -> String {
        do {
            let reading = try await secrets.read(path, version: version, by: principal)
            return reading.data?["value"]?.string ?? "gone"
        } catch let problem as Problem {
            return problem.code.name
        }
    }

    func code(_ body: () async throws -> some Any) async -> String? {
        do {
            _ = try await body()
            return nil
        } catch {
            return (error as? Problem)?.code.name ?? "\(error)"
        }
    }

    /// Takes a new value to a state by its ordinary way.
    func go(to state: SecretRotation.State) async throws {
        _ = try await service.stage(path, Self.data("new-value"), overlap: nil, by: Self.ada)
        if state == .staged { return }
        _ = try await service.verify(path, .word("I called it by hand"), by: Self.ada)
        if state == .verified { return }
        _ = try await service.issue(path, by: Self.ada)
        if state == .overlap { return }
        time.advance(by: .hours(24))
        try await service.act()
        if state == .draining { return }
        try await service.act()
    }

    func state() async throws -> SecretRotation.State? { try await service.view(path).kept?.rotation.state }

    func events(_ prefix: String = "secret.") async throws -> [String] {
        try await storage.read { transaction in
            try transaction.rows("SELECT type FROM events ORDER BY seq").map { $0.text("type") }
        }.filter { $0.hasPrefix(prefix) }
    }

    func audit() async throws -> [String] {
        try await storage.read { transaction in
            try AuditService(world: world).list(after: 0, limit: 500, in: transaction).map(\.action)
        }
    }

    func firing() async throws -> [String] {
        try await storage.read { transaction in
            try transaction.rows("SELECT labels FROM alerts WHERE ends_at IS NULL ORDER BY labels").map {
                $0.text("labels")
            }
        }
    }
}
