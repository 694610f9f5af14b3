import Kernel
import TestSupport
import Testing

@testable import Control

@Suite struct BatchServiceTests {
    private static let other = Principal(keyID: "key_other", name: "other", role: .agent, agent: "other")
    private static let olga = Principal(keyID: "key_olga", name: "olga", role: .operator_)

    @Test("Files are their owner's; batches operators may stop too", arguments: TestEngine.available)
    func owners(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let batch = try await fixture.batch([BatchFixture.line("a")])
            let sameAgent = Principal(keyID: "key_2", name: "second", role: .agent, agent: "writer")
            func sees(_ look: @escaping @Sendable (BatchService, Transaction) throws -> Void) async throws -> Bool {
                do {
                    try await fixture.storage.read { [service = fixture.service] in try look(service, $0) }
                    return true
                } catch let problem as Problem where problem.code == .notFound {
                    return false
                }
            }
            for (principal, files, batches) in [
                (sameAgent, true, true), (Self.other, false, false), (Self.olga, false, true),
            ] {
                #expect(
                    try await sees { _ = try $0.file(batch.inputFile, for: principal, in: $1) } == files,
                    "\(principal.name)")
                #expect(
                    try await sees { _ = try $0.batch(batch.id, .openAI, for: principal, in: $1) } == batches,
                    "\(principal.name)")
                #expect(try await !sees { _ = try $0.batch(batch.id, .anthropic, for: principal, in: $1) })
            }
            let stopped = try await fixture.storage.write { [service = fixture.service] in
                try service.cancel(batch.id, .openAI, by: Self.olga, in: $0)
            }
            #expect(stopped.state == .cancelling)
        }
    }

    @Test("A batch that is cancelled before it begins asks nobody", arguments: TestEngine.available)
    func cancelled(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let batch = try await fixture.batch([BatchFixture.line("a"), "{", BatchFixture.line("b")])
            try await fixture.storage.write { [service = fixture.service, principal = fixture.principal] in
                _ = try service.cancel(batch.id, .openAI, by: principal, in: $0)
            }
            let calls = AnsweringCalls(fixture) { asked, _ in .said(asked.said) }
            try await fixture.drive(batch, fixture.runner(calls))
            let ended = try await fixture.kept(batch)
            #expect(calls.asked.isEmpty)
            #expect(ended.state == .cancelled)
            #expect(ended.counts == Batch.Counts(total: 3, succeeded: 0, errored: 1, canceled: 2, expired: 0))
            #expect(ended.outputFile == nil)
            #expect(try await fixture.content(ended.errorFile).count == 3)
        }
    }

    @Test("A file that is deleted before it is read fails its batch", arguments: TestEngine.available)
    func fileGone(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let batch = try await fixture.batch([BatchFixture.line("a")])
            try await fixture.storage.write { [service = fixture.service, principal = fixture.principal] in
                try service.deleteFile(batch.inputFile, by: principal, in: $0)
            }
            try await fixture.drive(batch, fixture.runner(AnsweringCalls(fixture) { _, _ in .said("") }))
            let ended = try await fixture.kept(batch)
            #expect(ended.state == .failed)
            #expect(ended.flaws.array?.first?["code"] == "file_not_found")
        }
    }

    @Test("Batches that have not ended are bounded for each owner", arguments: TestEngine.available)
    func openMax(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            for _ in 0..<BatchPolicy.openPerOwnerMax { _ = try await fixture.batch([BatchFixture.line("a")]) }
            let problem = await #expect(throws: Problem.self) {
                _ = try await fixture.batch([BatchFixture.line("a")])
            }
            #expect(problem?.code == .rateLimited)
            _ = try await fixture.batch([BatchFixture.line("a")], owner: Self.other)
        }
    }

    @Test("Room for files is bounded by number and by bytes", arguments: TestEngine.available)
    func room(_ engine: TestEngine) async throws {
        var policy = BatchPolicy()
        policy.keptBytes = 100
        try await BatchFixture.on(engine, policy: policy) { fixture in
            func check(_ bytes: Int, _ principal: Principal) async throws {
                try await fixture.storage.read { [service = fixture.service] in
                    try service.checkRoom(bytes, for: principal, in: $0)
                }
            }
            try await fixture.file(Array(repeating: 65, count: 60))
            try await check(40, fixture.principal)
            let problem = await #expect(throws: Problem.self) { try await check(41, fixture.principal) }
            #expect(problem?.code == .fileQuota)
            try await check(100, Self.other)
            let sha256 = try await fixture.blobs.put([65])
            try await fixture.storage.write { [service = fixture.service, world = fixture.world] transaction in
                for _ in 0..<BatchPolicy.filesPerOwnerMax {
                    try service.files.insert(
                        BatchFile(
                            id: BatchFile.newID(world), owner: Self.other.batchOwner, purpose: .batch, name: "x",
                            size: 0, sha256: sha256, createdAt: world.now, expiresAt: world.now),
                        in: transaction)
                }
            }
            await #expect(throws: Problem.self) { try await check(0, Self.other) }
        }
    }

    @Test("What is past its time goes, and content that others have stays", arguments: TestEngine.available)
    func retention(_ engine: TestEngine) async throws {
        try await BatchFixture.on(engine) { fixture in
            let shared = try await fixture.file([1])
            let alone = try await fixture.file([2])
            let twice = try await fixture.file([3])
            let calls = AnsweringCalls(fixture) { asked, _ in .said(asked.said) }
            let runner = fixture.runner(calls)
            let batch = try await fixture.batch([BatchFixture.line("a")])
            try await fixture.drive(batch, runner)
            let loops = BatchLoops(runner: runner, otherContents: OneBlobUse(used: shared.sha256))
            try await loops.forget()
            #expect(fixture.blobs.contains(alone.sha256))
            func hasLinesLeft() async throws -> Bool {
                try await fixture.storage.read { [service = fixture.service] in try service.hasLinesLeft(in: $0) }
            }
            #expect(try await hasLinesLeft())
            for loop in loops.loops where loop.name == "batches.lines" { try await loop.body() }
            #expect(try await hasLinesLeft() == false)
            fixture.time.advance(by: .hours(24 * 31))
            let again = try await fixture.file([3])
            try await loops.forget()
            #expect(!fixture.blobs.contains(alone.sha256))
            #expect(fixture.blobs.contains(shared.sha256))
            #expect(fixture.blobs.contains(twice.sha256) && again.sha256 == twice.sha256)
            await #expect(throws: Problem.self) { try await fixture.kept(batch) }
            let files = try await fixture.storage.read { [service = fixture.service] in
                try service.files.list(
                    of: fixture.principal.batchOwner, purposes: BatchFile.Purpose.allCases, after: nil,
                    isAscending: true, limit: 10, in: $0)
            }
            #expect(files.map(\.id) == [again.id])
        }
    }
}
