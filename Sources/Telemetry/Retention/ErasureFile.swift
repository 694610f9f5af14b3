import Foundation
import Kernel

/// An erasure that is under way, with the name of its subject.
public struct PendingErasure: Sendable, Equatable {
    public let id: String
    public let subject: SubjectMatch
    /// Starts of the server that it saw so far.
    public var starts: Int

    public init(id: String, subject: SubjectMatch, starts: Int = 1) {
        (self.id, self.subject, self.starts) = (id, subject, starts)
    }

    public static func == (left: Self, right: Self) -> Bool {
        (left.id, left.subject.text, left.subject.isAnywhere, left.starts)
            == (right.id, right.subject.text, right.subject.isAnywhere, right.starts)
    }
}

/// Has an erasure go on after a start: a file of the telemetry folder, which has the subject's records as well. It is
/// there before an order is accepted, and gone with the last of them.
public struct ErasureFile: Sendable {
    private let path: String

    /// - Parameter folder: That of all telemetry.
    init(folder: String) { path = "\(folder)/erasing" }

    /// What an earlier process left; `nil` where there is nothing, or nothing that can be read.
    public func load() -> PendingErasure? {
        guard let bytes = FileManager.default.contents(atPath: path), let json = try? JSONParser.parse(Array(bytes)),
            let id = json["id"]?.string, let subject = json["subject"]?.string
        else { return nil }
        return PendingErasure(
            id: id, subject: SubjectMatch(subject, isAnywhere: json["text"]?.bool ?? false),
            starts: json["starts"]?.int.map { Int(clamping: $0) } ?? 1)
    }

    public func keep(_ erasure: PendingErasure) throws {
        let json: JSONValue = [
            "id": .string(erasure.id), "subject": .string(erasure.subject.text),
            "text": .bool(erasure.subject.isAnywhere), "starts": .int(Int64(erasure.starts)),
        ]
        try DurableFile.write(Array(json.text.utf8), to: path)
    }

    /// Forgets it; one that is not there is forgotten already.
    public func clear() throws {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw DurableFile.Failure(call: "unlink", path: path, code: errno)
        }
        try DurableFile.syncFolder(of: path)
    }
}
