import Control
import Foundation
import TestSupport

@testable import Kernel

/// A fleet that misbehaves, in virtual time: agents that crash, forget and repeat, replies that get lost, clocks that
/// jump, people that pause and cancel, a server whose connection breaks at any statement. Everything follows from one
/// seed. After each step every store must hold the invariants, and agree with the model and with each other.
struct Simulation {
    struct Failure: Error, CustomStringConvertible {
        let seed: UInt64
        let step: Int
        let what: [String]
        let trace: [String]

        var description: String {
            """
            seed \(seed), step \(step):
            \(what.prefix(10).joined(separator: "\n"))
            the last steps:
            \(trace.suffix(12).joined(separator: "\n"))
            replay with: script/simulate --seed \(seed)
            """
        }
    }

    /// What an agent believes to hold; it may be wrong about it.
    struct Lease: Equatable {
        let id: String
        let fence: Int64
    }

    /// A request whose reply is known: sent again, it must be answered alike.
    struct Sent {
        let request: SimulatedRequest
        let reply: SimulatedReply
        let at: Timestamp
    }

    let seed: UInt64
    let chance: SeededEntropy
    let time: ManualTime
    var servers: [SimulatedServer]
    var model: TaskModel
    var snapshots: [StoreSnapshot] = []
    var hands: [String: [Lease]] = [:]
    /// Leases that somebody had once, for those who come back from the dead.
    var graveyard: [(agent: String, lease: Lease)] = []
    var outbox: [Sent] = []
    var trace: [String] = []
    var step = 0
    var keysMade = 0
    /// Requests that a planted fault hit.
    private(set) var faultsSuffered = 0

    static let agents = ["alpha", "beta", "gamma"]
    static let queues = ["default", "slow"]
    static let projects = ["default", "north", "south"]
    static let operatorKey = Principal(keyID: "key_olga", name: "olga", role: .operator_)
    static let reviewers = ["rita", "rolf"].map { Principal(keyID: "key_\($0)", name: $0, role: .operator_) }
    private static let graveyardMax = 60
    private static let outboxMax = 40

    static func key(of agent: String) -> Principal {
        Principal(keyID: "key_\(agent)", name: agent, role: .agent, agent: agent)
    }

    /// The figures that the model's rules name.
    static var settings: Settings {
        var settings = Settings()
        settings.tasks.leaseSecondsDefault = 60
        settings.tasks.startSeconds = 60
        settings.tasks.timeoutSecondsDefault = 14_400
        settings.tasks.maxAttemptsDefault = 3
        settings.tasks.leaseLossesMax = 3
        settings.tasks.reviewRoundsMax = 3
        settings.tasks.cancelGraceSeconds = 30
        settings.tasks.affinitySeconds = 60
        settings.agents.failoverGraceSeconds = 30
        return settings
    }

    init(seed: UInt64, places: [(engine: TestEngine, location: StorageLocation)]) throws {
        self.seed = seed
        chance = SeededEntropy(seed: seed)
        let time = ManualTime()
        self.time = time
        servers = try places.map { place in
            try SimulatedServer(
                engine: place.engine, location: place.location, seed: seed, time: time, settings: Self.settings)
        }
        model = TaskModel(now: time.now.microseconds)
    }

    func close() async { for server in servers { await server.storage.close() } }

    // MARK: Running

    /// Takes the steps, then lets a healthy fleet finish everything. Throws ``Failure`` at the first thing wrong.
    mutating func run(steps: Int) async throws {
        snapshots = try await takeSnapshots()
        for agent in Self.agents { try await introduce(agent) }
        for _ in 0..<steps {
            step += 1
            try await takeStep()
        }
        try await finishEverything()
    }

    func fail(_ what: [String]) -> Failure { Failure(seed: seed, step: step, what: what, trace: trace) }

    func takeSnapshots() async throws -> [StoreSnapshot] {
        var taken: [StoreSnapshot] = []
        for server in servers { taken.append(try await server.snapshot()) }
        return taken
    }

    /// The store as it is now; the engines agree on it.
    var store: StoreSnapshot { snapshots[0] }

    /// Compares everything with everything.
    mutating func check() async throws {
        let taken = try await takeSnapshots()
        for (index, after) in taken.enumerated() {
            let invariants = Invariants(before: snapshots[index], after: after)
            guard invariants.violations.isEmpty else {
                throw fail(invariants.violations.map { "\(servers[index].engine): \($0)" })
            }
        }
        for other in taken.dropFirst() where other != taken[0] {
            throw fail(["the engines do not hold the same:"] + taken[0].differences(from: other))
        }
        snapshots = taken
        let differences = model.differences(from: taken[0])
        guard differences.isEmpty else { throw fail(differences) }
    }

    // MARK: Requests

    /// Sends a request to every server, sometimes with a fault on its way, checks the answers against each other and
    /// against `expect`, which moves the model and says what the answer must be, and compares what is stored.
    @discardableResult
    mutating func send(
        _ path: String, _ body: JSONValue = [:], by principal: Principal, method: APIRequest.Method = .post,
        expect: (inout TaskModel, SimulatedReply, StoreSnapshot) throws -> String
    ) async throws -> SimulatedReply {
        var request = SimulatedRequest(method: method, path: path, body: body, principal: principal)
        keysMade += 1
        if method == .post { request.idempotencyKey = "request-\(keysMade)" }
        trace.append("\(step) \(time.now.rfc3339) \(request.line)")
        var reply = try await answer(request, fault: method == .post && chance.happens(0.06) ? fault() : nil)
        if reply.isFault {
            // The client does not know what became of it, and asks again under the same key.
            reply = try await answer(request, fault: nil)
        }
        trace.append("    \(reply.status) \(reply.json.text.prefix(160))")
        let taken = try await takeSnapshots()
        let expected: String
        do {
            expected = try expect(&model, reply, taken[0])
        } catch {
            throw fail(["\(error)"])
        }
        guard reply.outcome == expected else {
            throw fail(["answered \(reply.outcome), and should have answered \(expected)"])
        }
        try await check()
        // A claim that found nothing is not kept: sent again it may find something.
        let isKept = request.idempotencyKey != nil && reply.isAccepted && reply.json["items"]?.array?.isEmpty != true
        if isKept { remember(Sent(request: request, reply: reply, at: time.now)) }
        return reply
    }

    private func fault() -> FaultPlan.Fault {
        switch chance.below(4) {
        case 0: .beforeCommit
        case 1: .afterCommit
        default: .statement(1 + chance.below(20))
        }
    }

    private mutating func answer(_ request: SimulatedRequest, fault: FaultPlan.Fault?) async throws -> SimulatedReply {
        var replies: [SimulatedReply] = []
        for server in servers {
            if let fault { server.faults.arm(fault) }
            replies.append(await server.send(request))
            server.faults.disarm()
        }
        for (server, reply) in zip(servers, replies) where reply != replies[0] {
            throw self.fail(["\(server.engine) answers \(reply), \(servers[0].engine) answers \(replies[0])"])
        }
        guard replies[0].isFault else { return replies[0] }
        guard fault != nil else { throw self.fail(["answered \(replies[0])"]) }
        faultsSuffered += 1
        trace.append("    fault: \(String(describing: fault))")
        // I12: a crash leaves what was before, or what is after, and nothing between.
        if fault != .afterCommit, try await takeSnapshots() != snapshots {
            throw self.fail(["I12: a request that broke off left something behind"])
        }
        return replies[0]
    }

    private mutating func remember(_ sent: Sent) {
        outbox.append(sent)
        if outbox.count > Self.outboxMax { outbox.removeFirst() }
    }

    /// A client that repeats a request gets the first answer again, and nothing happens.
    mutating func repeatSomething() async throws {
        outbox.removeAll { time.now - $0.at > .hours(23) || $0.at > time.now }
        guard let sent = chance.pickAny(outbox) else { return }
        trace.append("\(step) again: \(sent.request.line)")
        let reply = try await answer(sent.request, fault: nil)
        guard reply == sent.reply else { throw fail(["the repeated request is answered \(reply), not \(sent.reply)"]) }
        guard try await takeSnapshots() == snapshots else { throw fail(["a repeated request changed something"]) }
    }

    // MARK: Time

    /// Moves time, and mostly lets the server notice.
    mutating func pass(_ span: Span, isNoticed: Bool = true) async throws {
        time.set(time.now + span)
        model.now = time.now.microseconds
        trace.append("\(step) \(span.seconds) s pass\(isNoticed ? "" : ", unnoticed")")
        if isNoticed { try await sweep() }
    }

    mutating func sweep() async throws {
        // What a sweep moves may be due at once again.
        for _ in 0..<6 {
            for server in servers { try await server.tick() }
        }
        let taken = try await takeSnapshots()
        model.sweep { taken[0].tasks[$0]?.optionalInt("scheduled_for") }
        try await check()
    }

    /// The server dies and comes back.
    mutating func restart() async throws {
        trace.append("\(step) restart")
        for index in servers.indices { servers[index].restart() }
        model.serverStart = time.now.microseconds
        try await check()
    }

    mutating func bury(_ agent: String, _ lease: Lease) {
        graveyard.append((agent, lease))
        if graveyard.count > Self.graveyardMax { graveyard.removeFirst() }
    }
}

extension SeededEntropy {
    func happens(_ probability: Double) -> Bool { Double(next() >> 11) / Double(UInt64(1) << 53) < probability }

    func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    func pickAny<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[below(elements.count)]
    }
}
