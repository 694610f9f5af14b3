import Foundation
import Kernel

/// A bundle as a folder: read from a repository to be pushed, written to be looked at.
public enum BundleFolder {
    /// Endings of files that belong to a bundle though nothing names them.
    public static let endings: Set<String> = ["md", "markdown", "yaml", "yml", "json", "txt"]
    /// Entries of the folder that are looked at, whatever they are.
    static let entriesMax = 10_000

    /// Reads all Markdown, YAML, JSON and text below the folder, and what `agent.yaml` names besides. Hidden files
    /// stay out; a link is refused, as it may lead anywhere.
    ///
    /// - Throws: ``Problem``.
    public static func read(_ folder: String) throws -> [BundleFile] {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
            throw Problem(.notFound, "There is no folder \"\(folder)\".", hint: "Name the folder of a bundle.")
        }
        var paths: [String] = []
        var looked = 0
        try collect(folder, below: "", into: &paths, looked: &looked)
        let manifest =
            try paths.contains(AgentBundle.manifestPath) ? content(AgentBundle.manifestPath, in: folder) : nil
        let named = Set(manifest.map { BundleManifest($0) }?[.tools].compactMap(\.value.string) ?? [])
        let chosen = paths.filter { path in
            let ending = path.split(separator: ".").last.map { $0.lowercased() } ?? ""
            return endings.contains(ending) || named.contains(path)
        }
        guard chosen.count <= AgentBundle.filesMax else {
            throw Problem.invalid("files", "a bundle has \(AgentBundle.filesMax) files at most, not \(chosen.count)")
        }
        return try chosen.map { BundleFile(path: $0, content: try content($0, in: folder)) }
    }

    private static func collect(
        _ folder: String, below prefix: String, into paths: inout [String], looked: inout Int
    ) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: prefix.isEmpty ? folder : "\(folder)/\(prefix)")
        {
            guard !name.hasPrefix(".") else { continue }
            looked += 1
            guard looked <= entriesMax else {
                throw Problem.invalid(
                    "files", "the folder has more than \(entriesMax) entries: is it the bundle's own?")
            }
            let path = prefix.isEmpty ? name : "\(prefix)/\(name)"
            var status = stat()
            guard lstat("\(folder)/\(path)", &status) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                guard path.split(separator: "/").count < RelativePath.depthMax else {
                    throw Problem.invalid(path, "folders are \(RelativePath.depthMax) deep at most")
                }
                try collect(folder, below: path, into: &paths, looked: &looked)
            case S_IFREG: paths.append(path)
            case S_IFLNK: throw Problem.invalid(path, "it is a link: put the file itself into the bundle")
            default: break
            }
        }
    }

    private static func content(_ path: String, in folder: String) throws -> String {
        let file = open("\(folder)/\(path)", O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard file >= 0 else { throw Problem.invalid(path, "it cannot be read: \(String(cString: strerror(errno)))") }
        let handle = FileHandle(fileDescriptor: file, closeOnDealloc: true)
        let bytes = try handle.read(upToCount: AgentBundle.fileBytesMax + 1) ?? Data()
        guard bytes.count <= AgentBundle.fileBytesMax else {
            throw Problem.invalid(path, "it has more than \(AgentBundle.fileBytesMax) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem.invalid(path, "it is not text in UTF-8")
        }
        return text
    }

    /// Writes a bundle's files into a folder, each whole or not at all. Other files there stay.
    public static func write(_ files: [BundleFile], to folder: String) throws {
        // All paths before the first file.
        for file in files {
            if let fault = RelativePath.fault(file.path) { throw Problem.invalid(file.path, fault) }
        }
        for file in files { try DurableFile.write(Array(file.content.utf8), to: "\(folder)/\(file.path)", mode: 0o644) }
    }
}
