import Foundation
import Kernel

/// A folder that exports are written to. It remembers what it wrote, so that it never takes away what somebody else
/// did: a file that was there before, or that was edited since, is written over only when that is asked for.
public struct ExportFolder: Sendable {
    /// What became of a file.
    public enum Outcome: String, Sendable {
        case written, unchanged
    }

    /// Why nothing was written.
    public enum Fault: Error, Equatable {
        /// Files that are not this folder's own; their paths below it.
        case foreign([String])
        /// A file or folder could not be read or made.
        case failed(path: String, reason: String)
    }

    /// Holds the SHA-256 of each file as it was written.
    static let manifest = ".reeve-export.json"
    private static let manifestBytesMax = 1_000_000

    private let folder: URL

    public init(path: String) { folder = URL(fileURLWithPath: path, isDirectory: true) }

    /// The folder's path from the root.
    public var path: String { folder.standardizedFileURL.path }

    /// Writes all files, or none where one of them is not its own. Each file is replaced as a whole or not at all.
    ///
    /// - Parameter overwriting: Whether files of others may go.
    public func write(_ files: [ExportFile], overwriting: Bool) throws(Fault) -> [(path: String, outcome: Outcome)] {
        var known = knownHashes()
        var outcomes: [(path: String, outcome: Outcome)] = []
        var foreign: [String] = []
        for file in files {
            let present = try read(file.path)
            let isSame = present == Array(file.text.utf8)
            outcomes.append((file.path, isSame ? .unchanged : .written))
            guard let present, !isSame, !overwriting else { continue }
            if known[file.path]?.string != Digest.sha256(present) { foreign.append(file.path) }
        }
        guard foreign.isEmpty else { throw .foreign(foreign) }
        for (file, outcome) in zip(files, outcomes) {
            if outcome.outcome == .written { try put(file.text, at: file.path) }
            known[file.path] = .string(Digest.sha256(Array(file.text.utf8)))
        }
        try put(JSONValue.object(known).prettyText + "\n", at: Self.manifest)
        return outcomes
    }

    private func knownHashes() -> JSONObject {
        guard let bytes = try? read(Self.manifest), bytes.count <= Self.manifestBytesMax else { return JSONObject() }
        return (try? JSONParser.parse(bytes).object) ?? JSONObject()
    }

    /// `nil` where there is nothing.
    private func read(_ path: String) throws(Fault) -> [UInt8]? {
        let file = folder.appendingPathComponent(path)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: file.path, isDirectory: &isFolder) else { return nil }
        guard !isFolder.boolValue else { throw .failed(path: file.path, reason: "it is a folder") }
        do {
            return try Array(Data(contentsOf: file))
        } catch {
            throw .failed(path: file.path, reason: Self.words(error))
        }
    }

    private func put(_ text: String, at path: String) throws(Fault) {
        let file = folder.appendingPathComponent(path)
        do {
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file, options: .atomic)
        } catch {
            throw .failed(path: file.path, reason: Self.words(error))
        }
    }

    /// What the system says, such as "Permission denied".
    private static func words(_ error: any Error) -> String {
        var inner = error as NSError
        while let next = inner.userInfo[NSUnderlyingErrorKey] as? NSError { inner = next }
        guard inner.domain == NSPOSIXErrorDomain else { return inner.localizedDescription }
        return String(cString: strerror(Int32(inner.code)))
    }
}
