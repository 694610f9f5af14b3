import Control
import Kernel
import Synchronization
import TestSupport

@testable import Control

/// Batches on a real store, with time, chance and the gateway in the test's hand.
struct BatchFixture: Sendable {
    let time: ManualTime
    let world: World
    let storage: any Storage
    let blobs: any Blobs
    let events: Events
    let access: AccessService
    let service: BatchService
    let principal: Principal

    static let writer = Principal(keyID: "", name: "writer", role: .agent, agent: "writer")

    init(_ storage: any Storage, folder: String, policy: BatchPolicy = BatchPolicy()) async throws {
        time = ManualTime()
        let world = World.test(time: time)
        self.world = world
        self.storage = storage
        blobs = DirectoryBlobs(root: folder)
        events = Events(world: world)
        let access = AccessService(
            storage: storage, audit: AuditService(world: world), events: events, world: world, limits: Limits())
        self.access = access
        service = BatchService(policy: policy, events: events, world: world)
        principal = try await storage.write {
            try access.issue(role: .agent, name: "writer", agent: nil, by: .system, in: $0).key.principal
        }
    }

    static func on(
        _ engine: TestEngine, policy: BatchPolicy = BatchPolicy(), _ body: (BatchFixture) async throws -> Void
    ) async throws {
        let migrations =
            EventSchema.migrations + AccessSchema.migrations + AuditSchema.migrations + BatchSchema.migrations
        try await TestStorage.withFolder { folder in
            try await withStorage(engine, migrations: migrations) { storage in
                try await body(BatchFixture(storage, folder: folder, policy: policy))
            }
        }
    }

    func runner(_ calls: any BatchCalls) -> BatchRunner {
        BatchRunner(service: service, storage: storage, blobs: blobs, access: access, calls: calls) { _, _ in }
    }

    /// Keeps a file and a batch of it, as a request would.
    func batch(
        _ lines: [String], owner: Principal? = nil, window: Span = BatchPolicy.window
    ) async throws -> Batch {
        let principal = owner ?? principal
        let content = Array(lines.joined(separator: "\n").utf8)
        let file = try await file(content, owner: principal)
        let batch = Batch(
            id: Batch.Dialect.openAI.newID(world), dialect: .openAI, owner: principal.batchOwner, principal: principal,
            endpoint: "/v1/chat/completions", inputFile: file.id, headers: [:], metadata: .null,
            outputSpan: service.policy.retention, correlationID: "corr", createdAt: world.now,
            expiresAt: world.now + window)
        try await storage.write { [service] in try service.create(batch, in: $0) }
        return batch
    }

    @discardableResult
    func file(_ content: [UInt8], owner: Principal? = nil) async throws -> BatchFile {
        let file = BatchFile(
            id: BatchFile.newID(world), owner: (owner ?? principal).batchOwner, purpose: .batch, name: "in.jsonl",
            size: Int64(content.count), sha256: try await blobs.put(content), createdAt: world.now,
            expiresAt: world.now + service.policy.retention)
        try await storage.write { [service, blobs] in try service.keep(file, in: blobs, $0) }
        return file
    }

    static func line(_ id: String) -> String {
        #"{"custom_id":"\#(id)","method":"POST","url":"/v1/chat/completions","body":{"model":"small","say":"\#(id)"}}"#
    }

    func kept(_ batch: Batch) async throws -> Batch {
        let found = try await storage.read { [service] in try service.batches.batch(batch.id, in: $0) }
        guard let found else { throw Problem.notFound("batch", batch.id) }
        return found
    }

    /// A file's lines.
    func content(_ id: String?) async throws -> [JSONValue] {
        guard let id else { return [] }
        let file = try await storage.read { [service] in try service.files.file(id, in: $0) }
        guard let file else { throw Problem.notFound("file", id) }
        return try await blobs.get(file.sha256).split(separator: UInt8(ascii: "\n")).map { try JSONParser.parse($0) }
    }

    /// Runs a batch while time goes on whenever nothing else happens.
    func drive(_ batch: Batch, _ runner: BatchRunner) async throws {
        let time = time
        let clock = Task {
            while !Task.isCancelled {
                // The renewal of the claim sleeps always; with a pause beside it nothing else goes on.
                await time.sleepers(atLeast: 2)
                if time.sleeperCount >= 2, let next = time.nextWake { time.set(next) }
            }
        }
        defer { clock.cancel() }
        try await runner.drive(batch.id)
    }
}

/// A gateway that answers as the test says, and remembers what it was asked and when.
final class AnsweringCalls: BatchCalls {
    struct Asked: Sendable, Equatable {
        /// What the request says.
        let said: String
        /// Seconds since the first request.
        let after: Int64
        let tags: String?
    }

    private let time: ManualTime
    private let reply: @Sendable (Asked, Int) throws -> BatchAnswer
    private let state: Mutex<(asked: [Asked], start: Timestamp?)> = Mutex(([], nil))

    /// - Parameter reply: Gets the request and how many came before it.
    init(_ fixture: BatchFixture, _ reply: @escaping @Sendable (Asked, Int) throws -> BatchAnswer) {
        time = fixture.time
        self.reply = reply
    }

    var asked: [Asked] { state.withLock { $0.asked } }

    func answer(_ call: BatchCall) async throws -> BatchAnswer {
        let said = try JSONParser.parse(call.body)["say"]?.string ?? ""
        let now = time.now
        let (asked, count) = state.withLock { state in
            let start = state.start ?? now
            state.start = start
            let asked = Asked(
                said: said, after: (now - start).microseconds / 1_000_000,
                tags: call.headers.first { $0.name == "x-reeve-tags" }?.value)
            state.asked.append(asked)
            return (asked, state.asked.count - 1)
        }
        return try reply(asked, count)
    }
}

extension BatchAnswer {
    static func said(_ text: String) -> BatchAnswer {
        BatchAnswer(
            status: 200, callID: "call_1", retryAfterSeconds: nil,
            body: JSONValue.object(.init([.init(name: "said", value: .string(text))])).bytes)
    }

    static func refused(_ status: Int, retryAfter: Int64? = nil, code: String? = nil) -> BatchAnswer {
        let body: JSONValue = ["error": ["message": "no", "code": .of(code)]]
        return BatchAnswer(status: status, callID: "call_1", retryAfterSeconds: retryAfter, body: body.bytes)
    }
}

/// No other feature has blobs.
struct NoBlobUse: BlobUse {
    func uses(_ sha256: String, in transaction: Transaction) throws -> Bool { false }
}

/// Another feature has one blob.
struct OneBlobUse: BlobUse {
    let used: String
    func uses(_ sha256: String, in transaction: Transaction) throws -> Bool { sha256 == used }
}
