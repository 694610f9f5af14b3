import Control
import Synchronization
import TestSupport

@testable import Kernel
@testable import Server

/// A request as a simulated client sends it, and sends it again where its reply got lost.
struct SimulatedRequest: Sendable {
    var method = APIRequest.Method.post
    let path: String
    var body: JSONValue = [:]
    let principal: Principal
    var idempotencyKey: String?

    var line: String { "\(principal.name): \(method.rawValue) \(path) \(body.text)" }
}

struct SimulatedReply: Sendable, Equatable {
    let status: Int
    let json: JSONValue

    var isAccepted: Bool { status < 300 }
    /// What the store's faults look like from outside.
    var isFault: Bool { status >= 500 }
    /// `ok`, or the problem's code.
    var outcome: String { isAccepted ? "ok" : json["code"]?.string ?? "\(status)" }
}

/// Content in memory: the simulation is about tasks, and blobs have tests of their own.
final class MemoryBlobs: Blobs {
    private let contents = Mutex<[String: [UInt8]]>([:])

    func put(_ bytes: [UInt8]) async throws -> String {
        let sha256 = Digest.sha256(bytes)
        contents.withLock { $0[sha256] = bytes }
        return sha256
    }

    func get(_ sha256: String) async throws -> [UInt8] {
        guard let bytes = contents.withLock({ $0[sha256] }) else { throw Problem.notFound("content", sha256) }
        return bytes
    }

    func contains(_ sha256: String) -> Bool { contents.withLock { $0[sha256] != nil } }
    func remove(_ sha256: String) throws { contents.withLock { $0[sha256] = nil } }
}

/// The whole of Reeve behind its door: the real routes, services and loops on a real store, without sockets.
struct SimulatedServer {
    let engine: TestEngine
    let storage: any Storage
    let faults: FaultPlan
    let world: World
    private let blobs = MemoryBlobs()
    private var features: Features
    private var table: RouteTable
    private let settings: Settings

    init(engine: TestEngine, location: StorageLocation, seed: UInt64, time: ManualTime, settings: Settings) throws {
        self.engine = engine
        self.settings = settings
        faults = FaultPlan()
        // Ids and tokens are the same on every engine, so replies can be compared whole.
        world = World(time: time, entropy: SeededEntropy(seed: seed))
        let bare: any StorageEngine =
            switch location {
            case .sqlite(let path): SQLiteEngine(path: path)
            case .postgres(let url): PostgresEngine(url: url)
            }
        let now = world.now
        try bare.withConnection(.writer) { connection in
            try Migrator(migrations: Features.migrations).migrate(connection, engine: bare, now: now)
        }
        storage = try EngineStorage(FaultyEngine(engine: bare, plan: faults), limits: TestStorage.limits)
        features = Features(storage: storage, blobs: blobs, settings: settings, world: world)
        table = RouteTable(features.routes)
    }

    /// The process dies and comes back: what was in memory is gone.
    mutating func restart() {
        features = Features(storage: storage, blobs: blobs, settings: settings, world: world)
        table = RouteTable(features.routes)
    }

    func send(_ request: SimulatedRequest) async -> SimulatedReply {
        guard case .found(let route, let parameters) = table.match(request.method, request.path) else {
            return SimulatedReply(status: 404, json: ["code": "not_found"])
        }
        guard route.permission.admits(request.principal.role) else {
            return SimulatedReply(status: 403, json: ["code": "forbidden"])
        }
        let headers = RequestHeaders(request.idempotencyKey.map { [("idempotency-key", $0)] } ?? [])
        let call = APIRequest(
            method: request.method, route: route.path, path: request.path, parameters: parameters, headers: headers,
            body: request.body.bytes, principal: request.principal, requestID: "simulated", correlationID: "simulated",
            limits: settings.limits)
        do {
            return Self.reply(try await route.handler(call))
        } catch let problem as Problem {
            return Self.reply(.problem(problem, requestID: "simulated"))
        } catch {
            return SimulatedReply(status: 500, json: ["code": "internal_error", "detail": .string("\(error)")])
        }
    }

    private static func reply(_ reply: APIReply) -> SimulatedReply {
        guard case .bytes(let bytes) = reply.body, let json = try? JSONParser.parse(bytes, depthMax: 512) else {
            return SimulatedReply(status: reply.status, json: .null)
        }
        return SimulatedReply(status: reply.status, json: json)
    }

    /// One round of these loops; without schedules, all that the clock does.
    func tick(_ names: Set<String> = ["tasks.sweep", "agents.presence"]) async throws {
        for loop in features.loops where names.contains(loop.name) { try await loop.body() }
    }

    func snapshot() async throws -> StoreSnapshot { try await storage.read { try StoreSnapshot($0) } }
}
