import Foundation
import Kernel

/// A version of an agent's configuration as the server sent it, for programs that read files.
struct BundleFiles: Sendable, Equatable {
    /// Files and bytes that are written at most, whatever the server sends.
    static let filesMax = 1_000
    static let bytesMax = 8 << 20
    /// The file that names the version, and the one with the values that hold: bundles have no hidden files.
    static let versionFile = ".version"
    static let valuesFile = ".values.json"

    let version: String
    /// Names the version together with the values that were set above it.
    let etag: String
    private let files: [(path: String, content: [UInt8])]
    private let values: JSONValue

    /// - Throws: ``ClientFailure`` where it has not the form, or is too large.
    init(_ document: JSONValue) throws {
        guard let version = document["version"]?.string, let etag = document["etag"]?.string,
            (1...200).contains(version.utf8.count), version.utf8.allSatisfy(Hexadecimal.isDigit),
            (1...64).contains(etag.utf8.count), etag.utf8.allSatisfy(Hexadecimal.isDigit)
        else { throw ClientFailure.unreadable("the configuration has no version") }
        let items = document["files"]?.array ?? []
        guard items.count <= Self.filesMax else { throw ClientFailure.unreadable("more than \(Self.filesMax) files") }
        var bytes = 0
        (self.version, self.etag, values) = (version, etag, document["values"] ?? [:])
        files = try items.map { item in
            guard let path = item["path"]?.string, let content = item["content"]?.string else {
                throw ClientFailure.unreadable("a file has a path and a content")
            }
            if let fault = RelativePath.fault(path) {
                throw ClientFailure.unreadable("the path of a file is not acceptable: \(fault)")
            }
            bytes += content.utf8.count
            guard bytes <= Self.bytesMax else {
                throw ClientFailure.unreadable("more than \(Self.bytesMax) bytes of files")
            }
            return (path, Array(content.utf8))
        }
    }

    /// Writes all of it into a folder that nobody reads yet.
    func write(to place: String) throws {
        for file in files { try DurableFile.write(file.content, to: "\(place)/\(file.path)") }
        try DurableFile.write(Array(version.utf8), to: "\(place)/\(Self.versionFile)")
        try DurableFile.write(Array(values.prettyText.utf8), to: "\(place)/\(Self.valuesFile)")
    }

    static func == (one: BundleFiles, other: BundleFiles) -> Bool { one.etag == other.etag }
}
