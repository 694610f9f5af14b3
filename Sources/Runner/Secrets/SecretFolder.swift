import Foundation
import Kernel

/// A private folder for the values of secrets, in memory where the machine has a place for that.
///
/// It is this user's alone (0700), its files can be read and not changed (0400), and it goes when its owner ends. What
/// an owner left that could not clear up is cleared by the next one: each folder has a lock that dies with its process.
public final class SecretFolder: Sendable {
    /// What went wrong, in words that hold no secret.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// Characters of a file's name.
    static let nameMax = 128
    /// Folders of earlier runs that are looked at when one is made.
    static let leftoversMax = 1_000

    public let path: String
    /// Whether it is on a file system that no disk is behind.
    public let isInMemory: Bool
    private let lockPath: String
    private let lock: Int32
    private let world: World

    private init(path: String, isInMemory: Bool, lockPath: String, lock: Int32, world: World) {
        (self.path, self.isInMemory, self.lockPath, self.lock) = (path, isInMemory, lockPath, lock)
        self.world = world
    }

    /// Makes one in the first place that will do.
    ///
    /// - Parameters:
    ///   - environment: Names the user's own place in memory, where there is one.
    ///   - fallback: Where there is none: on a disk.
    public static func make(
        environment: [String: String], fallback: String = NSTemporaryDirectory(), world: World
    ) throws -> SecretFolder {
        let inMemory = [environment["XDG_RUNTIME_DIR"], "/dev/shm"].compactMap(\.self).filter(isMemory)
        var last = Failure(description: "there is no place for it")
        for (place, isInMemory) in inMemory.map({ ($0, true) }) + [(fallback, false)] {
            do {
                return try make(in: place, isInMemory: isInMemory, world: world)
            } catch let failure as Failure {
                last = failure
            }
        }
        throw last
    }

    static func make(in place: String, isInMemory: Bool, world: World) throws -> SecretFolder {
        let root = URL(fileURLWithPath: place).path + "/reeve-secrets-\(geteuid())"
        try own(root)
        // One at a time: a folder that is being made has no lock yet.
        let gate = open("\(root)/.gate", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard gate >= 0 else { throw failure("open", "\(root)/.gate") }
        defer { close(gate) }
        guard flock(gate, LOCK_EX) == 0 else { throw failure("flock", "\(root)/.gate") }
        clearLeftovers(in: root)
        let name = Hexadecimal.encode(world.entropy.bytes(8))
        let (path, lockPath) = ("\(root)/\(name)", "\(root)/\(name).lock")
        let lock = open(lockPath, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw failure("open", lockPath) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0, mkdir(path, 0o700) == 0 else {
            let failure = failure("mkdir", path)
            close(lock)
            unlink(lockPath)
            throw failure
        }
        return SecretFolder(path: path, isInMemory: isInMemory, lockPath: lockPath, lock: lock, world: world)
    }

    /// A folder of ours that nobody else may enter. In a place that all may write to, somebody may have made it first.
    private static func own(_ path: String) throws {
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw failure("mkdir", path) }
        var about = stat()
        guard lstat(path, &about) == 0 else { throw failure("lstat", path) }
        guard about.st_mode & S_IFMT == S_IFDIR, about.st_uid == geteuid(), about.st_mode & 0o077 == 0 else {
            throw Failure(description: "\(path) is not this user's alone")
        }
    }

    /// Clears what is left of processes that are gone.
    private static func clearLeftovers(in root: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        for name in names.prefix(leftoversMax * 2) where !name.hasPrefix(".") && !name.hasSuffix(".lock") {
            let lockPath = "\(root)/\(name).lock"
            let lock = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard lock >= 0 else { continue }
            defer { close(lock) }
            guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { continue }
            try? FileManager.default.removeItem(atPath: "\(root)/\(name)")
            unlink(lockPath)
        }
    }

    /// Whether a folder is on a file system that is kept in memory, by what the kernel tells of its mounts
    /// (`proc_pid_mountinfo(5)`). The device tells the mount, whatever links lead there.
    static func isMemory(_ path: String) -> Bool {
        var about = stat()
        guard stat(path, &about) == 0, about.st_mode & S_IFMT == S_IFDIR,
            let mounts = try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
        else { return false }
        let device = UInt64(about.st_dev)
        // The device's two numbers, as `makedev(3)` puts them together.
        let major = device >> 8 & 0xFFF | device >> 32 & ~0xFFF
        let minor = device & 0xFF | device >> 12 & ~0xFF
        return mounts.split(separator: "\n").contains { line in
            let fields = line.split(separator: " ")
            guard fields.count > 2, fields[2] == "\(major):\(minor)",
                let dash = fields.firstIndex(of: "-"), fields.indices.contains(dash + 1)
            else { return false }
            return fields[dash + 1] == "tmpfs" || fields[dash + 1] == "ramfs"
        }
    }

    private static func failure(_ call: String, _ path: String) -> Failure {
        Failure(description: "\(call) \(path): \(String(cString: strerror(errno)))")
    }

    // MARK: files

    /// Whether a text can be a file's name here.
    public static func isName(_ text: String) -> Bool {
        (1...nameMax).contains(text.utf8.count) && !text.hasPrefix(".")
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                default: "._-".utf8.contains(byte)
                }
            }
    }

    /// Puts a file into its place in one step: who has the old one open goes on reading that.
    func write(_ content: [UInt8], as name: String) throws {
        let next = "\(path)/.next-\(Hexadecimal.encode(world.entropy.bytes(6)))"
        let file = open(next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o400)
        guard file >= 0 else { throw Self.failure("open", next) }
        var written = 0
        while written < content.count {
            let count = content.withUnsafeBytes { bytes in
                Foundation.write(file, bytes.baseAddress.map { $0 + written }, content.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let failure = Self.failure("write", next)
                close(file)
                unlink(next)
                throw failure
            }
            written += count
        }
        close(file)
        guard rename(next, "\(path)/\(name)") == 0 else {
            let failure = Self.failure("rename", next)
            unlink(next)
            throw failure
        }
    }

    func remove(_ name: String) { unlink("\(path)/\(name)") }

    /// Ends the folder with all that is in it.
    public func remove() {
        try? FileManager.default.removeItem(atPath: path)
        unlink(lockPath)
    }

    deinit { close(lock) }
}
