import Kernel

/// A file of a bundle.
public struct BundleFile: Sendable, Equatable {
    public let path: String
    public let content: String

    public init(path: String, content: String) {
        self.path = path
        self.content = content
    }
}

extension BundleFile: JSONConvertible {
    public var json: JSONValue { ["path": .string(path), "content": .string(content)] }
}

/// What an agent is given to run with: its prompts, tools, models, parameters, limits and references to secrets, as
/// files of which `agent.yaml` names the others.
///
/// It is named by its content: the same files are the same version, wherever and whenever they are put together. It
/// says nothing of what the files mean; ``BundleManifest`` reads them and ``BundleLint`` judges them.
public struct AgentBundle: Sendable, Equatable {
    public static let manifestPath = "agent.yaml"
    public static let filesMax = 500
    /// Bytes of all files.
    public static let bytesMax = 2 << 20
    /// Bytes of one file.
    public static let fileBytesMax = 512 << 10

    /// By path.
    public let files: [BundleFile]
    /// SHA-256 over the paths and contents, in lower-case hexadecimal.
    public let version: String

    /// - Throws: ``Problem`` `invalid`, with what is wrong and where.
    public init(_ files: [BundleFile]) throws {
        guard files.count <= Self.filesMax else {
            throw Problem.invalid("files", "a bundle has \(Self.filesMax) files at most, not \(files.count)")
        }
        var bytes = 0
        var paths: Set<String> = []
        for (index, file) in files.enumerated() {
            let place = "files/\(index)"
            if let fault = RelativePath.fault(file.path) { throw Problem.invalid("\(place)/path", fault) }
            // Some systems take both for one file.
            guard paths.insert(file.path.lowercased()).inserted else {
                throw Problem.invalid("\(place)/path", "\"\(file.path)\" comes twice, but for capitals")
            }
            let size = file.content.utf8.count
            guard size <= Self.fileBytesMax else {
                throw Problem.invalid(
                    "\(place)/content", "\"\(file.path)\" has \(size) bytes; \(Self.fileBytesMax) are allowed")
            }
            guard !file.content.utf8.contains(0) else {
                throw Problem.invalid("\(place)/content", "\"\(file.path)\" is no text: it has a NUL")
            }
            bytes += size
        }
        guard bytes <= Self.bytesMax else {
            throw Problem.invalid("files", "the files have \(bytes) bytes; \(Self.bytesMax) are allowed")
        }
        guard files.contains(where: { $0.path == Self.manifestPath }) else {
            throw Problem.invalid(
                "files", "there is no \(Self.manifestPath) among them",
                hint: "A bundle is a folder with \(Self.manifestPath) and the files that it names.")
        }
        // By bytes, which is the same everywhere.
        self.files = files.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
        version = Self.version(of: self.files)
    }

    /// From the store, where only what was checked is.
    init(stored files: [BundleFile], version: String) {
        self.files = files
        self.version = version
    }

    /// A line for each file. Paths have no line breaks, and a digest no blank: no two bundles give the same lines.
    private static func version(of files: [BundleFile]) -> String {
        var lines = "reeve-bundle 1\n"
        for file in files { lines += "\(Digest.sha256(file.content)) \(file.path)\n" }
        return Digest.sha256(lines)
    }

    public subscript(path: String) -> BundleFile? { files.first { $0.path == path } }

    /// A version in a table.
    public static func short(_ version: String) -> String { String(version.prefix(12)) }
}
