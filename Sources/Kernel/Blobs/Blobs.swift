import Foundation

/// Content by its SHA-256: written once, never changed, the same bytes kept once.
public protocol Blobs: Sendable {
    /// Keeps the bytes durably and returns their SHA-256 in lower-case hexadecimal.
    func put(_ bytes: [UInt8]) async throws -> String
    /// The bytes of a blob; throws ``Problem`` where it is missing or its bytes are not its own any more.
    func get(_ sha256: String) async throws -> [UInt8]
    /// Whether a blob is there, without reading it.
    func contains(_ sha256: String) -> Bool
    /// Forgets a blob; one that is not there is forgotten already. Whoever removes and whoever refers to a blob do so
    /// in write transactions, which come one after the other, so that none is removed while somebody begins to need it.
    func remove(_ sha256: String) throws
}

/// A feature that refers to blobs. Features share the store of blobs, so who removes one asks the others first, in the
/// transaction of the removal.
public protocol BlobUse: Sendable {
    func uses(_ sha256: String, in transaction: Transaction) throws -> Bool
}

/// Several features that refer to blobs.
public struct BlobUses: BlobUse {
    private let parts: [any BlobUse]

    public init(_ parts: any BlobUse...) {
        self.parts = parts
    }

    public func uses(_ sha256: String, in transaction: Transaction) throws -> Bool {
        try parts.contains { try $0.uses(sha256, in: transaction) }
    }
}

/// Blobs as files of the data directory: `blobs/ab/ab12…`.
public struct DirectoryBlobs: Blobs {
    private let root: String

    public init(root: String) {
        self.root = root
    }

    public func put(_ bytes: [UInt8]) async throws -> String {
        let sha256 = Digest.sha256(bytes)
        let path = path(sha256)
        do {
            if let kept = FileManager.default.contents(atPath: path), kept == Data(bytes) {
                // Another writer may have renamed it a moment ago, and not yet synced the folder.
                try DurableFile.syncFolder(of: path)
            } else {
                try DurableFile.write(bytes, to: path)
            }
        } catch let error as DurableFile.Failure where error.isDiskFull {
            throw StorageFault.full("\(error)").problem
        } catch {
            throw StorageFault.failed("\(error)").problem
        }
        return sha256
    }

    public func get(_ sha256: String) async throws -> [UInt8] {
        guard sha256.utf8.count == 64, sha256.utf8.allSatisfy(Hexadecimal.isDigit),
            let data = FileManager.default.contents(atPath: path(sha256))
        else { throw Problem.notFound("content", sha256) }
        let bytes = Array(data)
        guard Digest.sha256(bytes) == sha256 else {
            throw StorageFault.failed("the blob \(sha256) has changed on the disk").problem
        }
        return bytes
    }

    public func contains(_ sha256: String) -> Bool { FileManager.default.fileExists(atPath: path(sha256)) }

    public func remove(_ sha256: String) throws {
        guard unlink(path(sha256)) == 0 || errno == ENOENT else {
            let failure = DurableFile.Failure(call: "unlink", path: path(sha256), code: errno)
            throw StorageFault.failed("\(failure)").problem
        }
    }

    private func path(_ sha256: String) -> String { "\(root)/\(sha256.prefix(2))/\(sha256)" }
}

/// Files that are whole or absent, whatever happens while they are written.
public enum DurableFile {
    /// A system call that failed.
    public struct Failure: Error, CustomStringConvertible {
        public let call: String
        public let path: String
        public let code: Int32

        public init(call: String, path: String, code: Int32) {
            (self.call, self.path, self.code) = (call, path, code)
        }

        public var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
        public var description: String { "\(call) \(path): \(String(cString: strerror(code)))" }
    }

    /// Writes beside the target, syncs the file, renames it over the target and syncs the folder.
    public static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600) throws {
        try makeFolder((path as NSString).deletingLastPathComponent)
        let temporary = "\(path).\(getpid()).\(Hexadecimal.encode(SystemEntropy().bytes(8))).part"
        do {
            try writeAndSync(bytes, to: temporary, mode: mode)
            guard rename(temporary, path) == 0 else { throw Failure(call: "rename", path: path, code: errno) }
            try syncFolder(of: path)
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Removes what a process that was killed left of files that it was writing in a folder.
    public static func clear(_ folder: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasSuffix(".part") { unlink("\(folder)/\(name)") }
    }

    private static func writeAndSync(_ bytes: [UInt8], to path: String, mode: mode_t) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw Failure(call: "open", path: path, code: errno) }
        defer { _ = Foundation.close(file) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes { Foundation.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Failure(call: "write", path: path, code: errno) }
            offset += count
        }
        guard fsync(file) == 0 else { throw Failure(call: "fsync", path: path, code: errno) }
    }

    /// Makes a folder and those above it, each durable in the one above.
    public static func makeFolder(_ path: String) throws {
        guard !path.isEmpty, !FileManager.default.fileExists(atPath: path) else { return }
        try makeFolder((path as NSString).deletingLastPathComponent)
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Failure(call: "mkdir", path: path, code: errno) }
        try syncFolder(of: path)
    }

    /// Makes the names in a path's folder durable.
    public static func syncFolder(of path: String) throws {
        let parent = (path as NSString).deletingLastPathComponent
        let path = parent.isEmpty ? "." : parent
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw Failure(call: "open", path: path, code: errno) }
        defer { _ = Foundation.close(folder) }
        guard fsync(folder) == 0 else { throw Failure(call: "fsync", path: path, code: errno) }
    }
}
