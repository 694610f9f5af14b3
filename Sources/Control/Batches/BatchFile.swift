import Kernel

/// A file that an agent sent for a batch, or that a batch made.
struct BatchFile: Sendable, Equatable, Identified {
    static let idPrefix = "file"

    enum Purpose: String, Sendable, CaseIterable {
        /// The requests of a batch.
        case batch
        /// What came of them.
        case batchOutput = "batch_output"
        /// The request that made a message batch; gone once it is read.
        case messageBatch = "message_batch"
        /// What came of a message batch.
        case messageResults = "message_results"

        /// Whether the addresses of files know it.
        var isListed: Bool { self == .batch || self == .batchOutput }
    }

    /// `file-` and 32 digits, which sort by time.
    let id: String
    let owner: String
    let purpose: Purpose
    let name: String
    let size: Int64
    /// The blob that holds the content.
    let sha256: String
    let createdAt: Timestamp
    let expiresAt: Timestamp

    /// OpenAI's ids of files have a hyphen.
    static func newID(_ world: World) -> String { "file-" + Identifier<BatchFile>(world).text.dropFirst(5) }
}

extension BatchFile: JSONConvertible {
    /// OpenAI API reference, "The file object".
    var json: JSONValue {
        [
            "id": .string(id), "object": "file", "bytes": .int(size), "created_at": createdAt.unixSeconds,
            "expires_at": expiresAt.unixSeconds, "filename": .string(name), "purpose": .string(purpose.rawValue),
            "status": "processed", "status_details": .null,
        ]
    }
}

extension Timestamp {
    /// Whole seconds since 1970, as OpenAI tells times.
    var unixSeconds: JSONValue { .int(microseconds / 1_000_000) }
}

extension Principal {
    /// Whose files and batches somebody has: an agent's, whichever of its keys it comes with, or else the key's own.
    var batchOwner: String { agent.map { "agent:\($0)" } ?? "key:\(keyID)" }
}
