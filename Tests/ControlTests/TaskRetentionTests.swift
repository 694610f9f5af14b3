import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

/// What is forgotten, and what is not.
@Suite struct TaskRetentionTests {
    private static let retention = TaskPolicy().finishedRetention

    private func deliver(_ fleet: TaskFixture, _ text: String, to blobs: DirectoryBlobs) async throws -> String {
        _ = try await fleet.create()
        let task = try await fleet.claimOne()
        let sha256 = try await blobs.put(Array(text.utf8))
        let draft = DeliverableDraft(
            fence: task.fence, name: "answer.txt", contentType: "text/plain", content: Array(text.utf8))
        _ = try await fleet.storage.write { [tasks = fleet.tasks] in
            try tasks.seal(
                draft, sha256: sha256, task: task.id.text, limits: Limits(), by: TaskFixture.agentKey("alpha"), in: $0)
        }
        _ = try await fleet.complete(task)
        return sha256
    }

    private func forget(
        _ fleet: TaskFixture, _ blobs: DirectoryBlobs, others: any BlobUse = NoBlobUse()
    ) async throws {
        _ = try await fleet.storage.write { [tasks = fleet.tasks] in try tasks.purge(in: $0) }
        _ = try await fleet.storage.write { [tasks = fleet.tasks] in
            try tasks.removeContents(blobs, others: others, in: $0)
        }
    }

    @Test("Contents go with the last task that had them", arguments: TestEngine.available)
    func contents(_ engine: TestEngine) async throws {
        let folder = NSTemporaryDirectory() + "reeve-blobs-\(ProcessInfo.processInfo.globallyUniqueString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let blobs = DirectoryBlobs(root: folder)
        try await TaskFixture.on(engine) { fleet in
            let shared = try await deliver(fleet, "the same twice", to: blobs)
            let alone = try await deliver(fleet, "only once", to: blobs)
            try await fleet.pass(.hours(1))
            #expect(try await deliver(fleet, "the same twice", to: blobs) == shared)

            try await fleet.pass(Self.retention + .minutes(-1))
            try await forget(fleet, blobs)
            #expect(blobs.contains(shared))
            #expect(!blobs.contains(alone))

            try await fleet.pass(.hours(2))
            try await forget(fleet, blobs)
            #expect(!blobs.contains(shared))
            let more = try await fleet.storage.write { [tasks = fleet.tasks] in try tasks.purge(in: $0) }
            #expect(more == 0)
        }
    }

    @Test("Content that another feature has stays", arguments: TestEngine.available)
    func sharedContents(_ engine: TestEngine) async throws {
        let folder = NSTemporaryDirectory() + "reeve-blobs-\(ProcessInfo.processInfo.globallyUniqueString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let blobs = DirectoryBlobs(root: folder)
        try await TaskFixture.on(engine) { fleet in
            let shared = try await deliver(fleet, "a batch has it too", to: blobs)
            let alone = try await deliver(fleet, "only once", to: blobs)
            let isUsed = { (sha256: String) in
                try await fleet.storage.read { try DeliverableStore().uses(sha256, in: $0) }
            }
            #expect(try await isUsed(shared))
            try await fleet.pass(Self.retention + .hours(1))
            try await forget(fleet, blobs, others: OneBlobUse(used: shared))
            #expect(try await isUsed(shared) == false)
            #expect(blobs.contains(shared))
            #expect(!blobs.contains(alone))
        }
    }
}
