import Foundation
import Kernel

/// The folder that one server keeps everything in. Only its owner can read it, and only one process serves it.
public struct DataDirectory: Sendable {
    public static let lockName = "reeve.lock"

    public let path: String
    private let lock: Lock

    /// Makes the folder where it is absent, and locks it.
    ///
    /// - Throws: ``Problem`` where another process has it, or it cannot be made.
    public init(_ path: String) throws {
        self.path = path
        do {
            try DurableFile.makeFolder(path)
        } catch {
            throw Problem(
                .conflict, "The data directory \(path) cannot be made.",
                hint: "Name another one with --data-dir, or give Reeve's user the right to make it.", cause: error)
        }
        lock = try Lock(path: "\(path)/\(Self.lockName)", directory: path)
    }

    public var databasePath: String { "\(path)/reeve.db" }
    /// Where holds of budgets are written before their calls are sent.
    public var budgetsPath: String { "\(path)/budgets" }
    /// The key that seals secrets, where no other is named.
    public static let masterKeyName = "master.key"
    public var blobsPath: String { "\(path)/blobs" }
    /// Traces and logs, a file for each category and day.
    public var telemetryPath: String { "\(path)/telemetry" }

    /// An `flock` on a file that names the process. The kernel ends it with the process, however that ends.
    private final class Lock: Sendable {
        private let file: Int32

        init(path: String, directory: String) throws {
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard file >= 0 else {
                throw Problem(
                    .conflict,
                    "The data directory \(directory) cannot be written to: \(String(cString: strerror(errno))).",
                    hint: "Give it to the user that runs Reeve, or name another one with --data-dir.")
            }
            guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
                let holder = Self.content(of: file)
                close(file)
                throw Problem(
                    .conflict,
                    "The data directory \(directory) is in use by another Reeve"
                        + "\(holder.isEmpty ? "" : ", process \(holder)").",
                    hint: "Stop that process, or start this one with another --data-dir.")
            }
            self.file = file
            let text = Array("\(getpid())\n".utf8)
            ftruncate(file, 0)
            _ = text.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, 0) }
        }

        deinit { close(file) }

        private static func content(of file: Int32) -> String {
            var bytes = [UInt8](repeating: 0, count: 32)
            let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, 0) }
            let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            return text.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}
