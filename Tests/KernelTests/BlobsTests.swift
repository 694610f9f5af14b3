import Foundation
import TestSupport
import Testing

@testable import Kernel

/// Content in the data directory: whole or absent, and never somebody else's file.
struct BlobsTests {
    private static func files(_ folder: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String } ?? []
        return names.filter { name in
            var isFolder = ObjCBool(false)
            return FileManager.default.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder)
                && !isFolder.boolValue
        }
    }

    @Test(arguments: [0, 1, 4_096, 3_000_000])
    func keepsContentByItsDigest(_ count: Int) async throws {
        let bytes = SeededEntropy(seed: 1).bytes(count)
        try await TestStorage.withFolder { folder in
            let blobs = DirectoryBlobs(root: "\(folder)/blobs")
            let sha256 = try await blobs.put(bytes)
            #expect(sha256 == Digest.sha256(bytes))
            #expect(try await blobs.get(sha256) == bytes)
            #expect(Self.files(folder) == ["blobs/\(sha256.prefix(2))/\(sha256)"])
        }
    }

    @Test func keepsTheSameBytesOnce() async throws {
        try await TestStorage.withFolder { folder in
            let blobs = DirectoryBlobs(root: folder)
            let bytes = Array("the same".utf8)
            let names = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<20 { group.addTask { try await blobs.put(bytes) } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            #expect(names.count == 1)
            #expect(Self.files(folder).count == 1)
        }
    }

    @Test func contentThatChangedOnTheDiskIsNeverGivenOut() async throws {
        try await TestStorage.withFolder { folder in
            let blobs = DirectoryBlobs(root: folder)
            let sha256 = try await blobs.put(Array("right".utf8))
            let path = "\(folder)/\(sha256.prefix(2))/\(sha256)"
            try Data("wrong".utf8).write(to: URL(fileURLWithPath: path))
            let problem = await #expect(throws: Problem.self) { _ = try await blobs.get(sha256) }
            #expect(problem?.code == .internalError)
            // Whoever brings the right bytes again mends it.
            #expect(try await blobs.put(Array("right".utf8)) == sha256)
            #expect(try await blobs.get(sha256) == Array("right".utf8))
        }
    }

    @Test func contentThatIsNotThereIsNotFound() async throws {
        try await TestStorage.withFolder { folder in
            let problem = await #expect(throws: Problem.self) {
                _ = try await DirectoryBlobs(root: folder).get(Digest.sha256("nothing"))
            }
            #expect(problem?.code == .notFound)
        }
    }

    @Test func nothingButADigestIsAName() async throws {
        try await TestStorage.withFolder { folder in
            try Data("secret".utf8).write(to: URL(fileURLWithPath: "\(folder)/secret"))
            let blobs = DirectoryBlobs(root: "\(folder)/blobs")
            let sha256 = try await blobs.put(Array("words".utf8))
            let tricks = [
                "", "../secret", "..", "/etc/passwd", "../../secret" + String(repeating: "0", count: 52),
                sha256.uppercased(),
                sha256 + "\u{0}", sha256.dropLast() + "/", String(sha256.dropLast()), sha256 + "0", "%2e%2e%2fsecret",
                String(repeating: "../", count: 21) + "0", String(repeating: "é", count: 32),
            ]
            for trick in tricks {
                let problem = await #expect(throws: Problem.self) { _ = try await blobs.get(trick) }
                #expect(problem?.code == .notFound)
            }
        }
    }

    @Test func aWriteThatFailsLeavesNothingBehind() async throws {
        try await TestStorage.withFolder { folder in
            // A folder stands where the file should go: the last step, the rename, fails.
            let path = "\(folder)/taken"
            try FileManager.default.createDirectory(atPath: "\(path)/inside", withIntermediateDirectories: true)
            let failure = #expect(throws: DurableFile.Failure.self) { try DurableFile.write([1, 2, 3], to: path) }
            #expect(failure?.call == "rename")
            #expect(failure?.isDiskFull == false)
            #expect(Self.files(folder).isEmpty)
            #expect(throws: DurableFile.Failure.self) { try DurableFile.write([1], to: "/proc/nowhere/file") }
        }
    }

    @Test func aFileIsReplacedWholeAndClosedToOthers() async throws {
        try await TestStorage.withFolder { folder in
            let path = "\(folder)/deep/er/file"
            try DurableFile.write(Array("one".utf8), to: path)
            try DurableFile.write(Array("two".utf8), to: path)
            #expect(FileManager.default.contents(atPath: path) == Data("two".utf8))
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            let folderMode =
                try FileManager.default.attributesOfItem(atPath: "\(folder)/deep")[.posixPermissions] as? Int
            #expect(folderMode == 0o700)
            #expect(Self.files(folder) == ["deep/er/file"])
        }
    }
}
