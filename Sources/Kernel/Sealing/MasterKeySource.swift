import Foundation

/// Where the master key comes from. Exactly one place; never the settings themselves, and never the environment.
public enum MasterKeySource: Sendable, Equatable {
    /// A file that its owner alone can read, and nobody can write.
    case file(String)
    /// An open file that whoever starts Reeve hands it.
    case descriptor(Int32)
    /// A shell command that prints the key, such as one that asks a KMS.
    case command(String)
    /// The file in the data directory, which the first start makes.
    case made(String)

    /// Bytes of a text with keys.
    static let textMax = 1 << 16
    /// How long a command or a descriptor may take.
    static let seconds = 30
    /// The mode of a file: its owner reads it.
    static let mode: mode_t = 0o400

    /// What a start found.
    public struct Finding: Sendable {
        public let ring: MasterKeyRing
        /// Whether the key was made just now.
        public let isNew: Bool
    }

    /// The key.
    ///
    /// - Parameter hasSealed: Whether anything is sealed already. Then no key is made: a new one would open none of it,
    ///   and the loss would be found out much later.
    public func load(hasSealed: Bool, entropy: any Entropy) throws -> Finding {
        switch self {
        case .file(let path): return Finding(ring: try Self.ring(ofFile: path), isNew: false)
        case .descriptor(let number):
            let place = "The file descriptor \(number) (secrets.masterKeyDescriptor)"
            return Finding(ring: try MasterKeyRing(try Self.read(number, place), from: place), isNew: false)
        case .command(let command):
            return Finding(ring: try Self.ring(ofCommand: command), isNew: false)
        case .made(let path):
            var status = stat()
            if stat(path, &status) == 0 { return Finding(ring: try Self.ring(ofFile: path), isNew: false) }
            guard !hasSealed else {
                throw Problem(
                    .masterKey, "There are sealed secrets, and the master key \(path) is not there.",
                    hint: "Put the file back, from where you keep its copy. No new key is made, as it could open none "
                        + "of them.")
            }
            return Finding(ring: try Self.make(path, entropy), isNew: true)
        }
    }

    private static func make(_ path: String, _ entropy: any Entropy) throws -> MasterKeyRing {
        let bytes = entropy.bytes(MasterKey.byteCount)
        let text = """
            # The master key of Reeve's secrets. Who loses it loses them: keep a copy away from this machine.
            1 \(Hexadecimal.encode(bytes))

            """
        try DurableFile.write(Array(text.utf8), to: path, mode: mode)
        return try ring(ofFile: path)
    }

    private static func ring(ofFile path: String) throws -> MasterKeyRing {
        let place = "The master key \(path)"
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            throw Problem(
                .masterKey, "\(place) cannot be read: \(String(cString: strerror(errno))).",
                hint: "Give it to the user that runs Reeve, with mode 0400, or name another one.")
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Problem(.masterKey, "\(place) is no file.", hint: "Name a file with the key.")
        }
        let mode = status.st_mode & 0o7777
        guard mode & ~Self.mode == 0, status.st_uid == geteuid() || status.st_uid == 0 else {
            throw Problem(
                .masterKey,
                "\(place) has the mode 0\(String(mode, radix: 8)) and the owner \(status.st_uid): others could read or "
                    + "change it.",
                hint: "Run chmod 0400 on it, as the user that runs Reeve. If others could read it, change the key.")
        }
        return try MasterKeyRing(try read(file, place), from: place)
    }

    private static func ring(ofCommand command: String) throws -> MasterKeyRing {
        // The command stands in no message: it may hold a token.
        let place = "The command of secrets.masterKeyCommand"
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", command]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        do {
            try process.run()
        } catch {
            throw Problem(.masterKey, "\(place) cannot be started.", hint: "Try it in a shell.", cause: error)
        }
        try? output.fileHandleForWriting.close()
        let text: SecretBytes
        do {
            text = try read(output.fileHandleForReading.fileDescriptor, place)
        } catch {
            process.terminate()
            throw error
        }
        process.waitUntilExit()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw Problem(
                .masterKey, "\(place) failed with status \(process.terminationStatus).", hint: "Try it in a shell.")
        }
        return try MasterKeyRing(text, from: place)
    }

    /// All that a file has to say, within bounds of size and time.
    private static func read(_ file: Int32, _ place: String) throws -> SecretBytes {
        var bytes = [UInt8](repeating: 0, count: textMax + 1)
        var count = 0
        var waits = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
        while count <= textMax {
            guard poll(&waits, 1, Int32(seconds) * 1_000) > 0 else {
                throw Problem(
                    .masterKey, "\(place) gave no key within \(seconds) s.", hint: "See that it ends by itself.")
            }
            let got = bytes.withUnsafeMutableBytes {
                Foundation.read(file, $0.baseAddress.map { $0 + count }, $0.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else {
                throw Problem(
                    .masterKey, "\(place) cannot be read: \(String(cString: strerror(errno))).",
                    hint: "See that it is open for reading.")
            }
            guard got > 0 else {
                bytes.removeLast(bytes.count - count)
                return SecretBytes(taking: &bytes)
            }
            count += got
        }
        throw Problem(.masterKey, "\(place) gave more than \(textMax) bytes.", hint: "Give the key alone.")
    }
}
