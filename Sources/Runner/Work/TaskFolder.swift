import Foundation
import Kernel

/// One file that a program made for its task.
public struct DeliverableFile: Sendable, Equatable {
    public let name: String
    public let contentType: String
    public let content: [UInt8]

    public init(name: String, contentType: String, content: [UInt8]) {
        self.name = name
        self.contentType = contentType
        self.content = content
    }
}

/// Bounds on what a program may deliver.
public struct DeliverableLimits: Sendable, Equatable {
    public var files = 100
    /// Bytes of one file: below the server's limit for a body, with room for the form around it.
    public var fileBytes = 9 << 20
    /// Bytes of all files together.
    public var totalBytes = 256 << 20
    /// Characters of a name, as the server has it.
    public var nameCharacters = 200

    public init() {}
}

/// The program left something that is not delivered; nothing of its output was sent then.
public struct OutputRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The place where one task's program works: its task as a file, and an empty folder for what it makes.
public struct TaskFolder: Sendable {
    public let path: String
    public var taskFile: String { path + "/task.json" }
    public var outputPath: String { path + "/output" }
    /// Where the files of the version stand that the task is run with.
    public var configPath: String { path + "/config" }

    /// Makes the folder below `parent`, for this user alone.
    public static func make(_ claim: Claim, in parent: String, world: World) throws -> TaskFolder {
        let folder = TaskFolder(path: "\(parent)/reeve-task-\(Hexadecimal.encode(world.entropy.bytes(8)))")
        let manager = FileManager.default
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o700]
        try manager.createDirectory(atPath: folder.path, withIntermediateDirectories: true, attributes: attributes)
        try manager.createDirectory(
            atPath: folder.outputPath, withIntermediateDirectories: false, attributes: attributes)
        try Data((claim.task.text + "\n").utf8).write(to: URL(fileURLWithPath: folder.taskFile))
        return folder
    }

    public func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }

    /// Everything in the output folder, by name. A path becomes a name: `/` turns into `-`, a leading dot into `_`, and
    /// names that then collide get numbers. Throws ``OutputRefusal`` for links out of the folder, for what is no file,
    /// and beyond the limits: part of a result is never sent in silence.
    public func deliverables(_ limits: DeliverableLimits = DeliverableLimits()) throws -> [DeliverableFile] {
        let root = URL(fileURLWithPath: outputPath).resolvingSymlinksInPath().path
        var files: [DeliverableFile] = []
        var names: Set<String> = []
        var total = 0
        for path in try relativePaths(limits).sorted() {
            let content = try read(path, root: root, limits)
            total += content.count
            guard total <= limits.totalBytes else {
                throw OutputRefusal("the output folder holds more than \(limits.totalBytes) bytes")
            }
            let name = Self.unique(Self.flat(path, max: limits.nameCharacters), &names, max: limits.nameCharacters)
            files.append(DeliverableFile(name: name, contentType: ContentTypes.of(name), content: content))
        }
        return files
    }

    private func relativePaths(_ limits: DeliverableLimits) throws -> [String] {
        // The enumerator does not follow links, so a link to a folder is one entry and is judged as such.
        guard let walk = FileManager.default.enumerator(atPath: outputPath) else {
            throw OutputRefusal("the output folder cannot be read")
        }
        var paths: [String] = []
        while let path = walk.nextObject() as? String {
            var info = stat()
            guard lstat(outputPath + "/" + path, &info) == 0 else {
                throw OutputRefusal("\"\(path)\" cannot be read")
            }
            if info.st_mode & S_IFMT == S_IFDIR { continue }
            paths.append(path)
            guard paths.count <= limits.files else {
                throw OutputRefusal("the output folder holds more than \(limits.files) files")
            }
        }
        return paths
    }

    private func read(_ path: String, root: String, _ limits: DeliverableLimits) throws -> [UInt8] {
        let resolved = URL(fileURLWithPath: outputPath + "/" + path).resolvingSymlinksInPath().path
        guard resolved.hasPrefix(root + "/") else {
            throw OutputRefusal("\"\(path)\" is a link out of the output folder")
        }
        // Without waiting for a writer, should it be a pipe; and not through a link, should one appear meanwhile.
        let descriptor = open(resolved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw OutputRefusal("\"\(path)\" cannot be read") }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw OutputRefusal("\"\(path)\" is not a file")
        }
        guard info.st_size <= limits.fileBytes else {
            throw OutputRefusal("\"\(path)\" has \(info.st_size) bytes; \(limits.fileBytes) are allowed")
        }
        var content: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while content.count <= limits.fileBytes {
            let count = Foundation.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            content.append(contentsOf: buffer[..<count])
        }
        return content
    }

    /// A path as one name that the server takes.
    static func flat(_ path: String, max count: Int) -> String {
        var name = String(
            path.map { character in
                let isControl = character.unicodeScalars.contains { $0.value < 0x20 }
                return character == "/" || character == "\\" || isControl ? "-" : character
            })
        if name.hasPrefix(".") { name = "_" + name.dropFirst() }
        if name.isEmpty { name = "_" }
        guard name.count > count else { return name }
        // The ending says what the content is, so it is the middle that goes.
        let ending = name.suffix(20)
        return String(name.prefix(count - ending.count) + ending)
    }

    private static func unique(_ name: String, _ taken: inout Set<String>, max count: Int) -> String {
        if taken.insert(name).inserted { return name }
        let dot = name.lastIndex(of: ".") ?? name.endIndex
        for number in 2... {
            let mark = "-\(number)"
            let stem = name[..<dot].prefix(Swift.max(0, count - mark.count - name[dot...].count))
            let candidate = String(stem) + mark + String(name[dot...])
            if taken.insert(candidate).inserted { return candidate }
        }
        return name
    }
}
