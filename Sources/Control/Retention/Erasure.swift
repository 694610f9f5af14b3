import Kernel
import Telemetry

/// An erasure as it is remembered: without the subject's name.
struct Erasure: Sendable, Identified {
    static let idPrefix = "erase"
    static let reasonMax = 500

    enum State: String, Sendable {
        case running
        /// Nothing of the subject is left in what was searched.
        case done
        /// Something is left: under a hold, or because it kept coming in.
        case partial
        case failed
        /// The server ended before it did, and it did not go on by itself. What was done is done; the same order does
        /// the rest.
        case interrupted
    }

    let id: Identifier<Erasure>
    let replica: String
    /// Names the subject to those who have the telemetry folder's secret.
    let digest: String
    let reason: String?
    var state = State.running
    let isDryRun: Bool
    let isAnywhere: Bool
    var report: JSONValue = [:]
    let createdAt: Timestamp
    let createdBy: String
    var endedAt: Timestamp?
}

extension Erasure: JSONConvertible {
    var json: JSONValue {
        var object = JSONObject([
            .init(name: "id", value: id.json), .init(name: "state", value: .string(state.rawValue)),
            .init(name: "subjectDigest", value: .string(digest)), .init(name: "dryRun", value: .bool(isDryRun)),
            .init(name: "text", value: .bool(isAnywhere)), .init(name: "reason", value: .of(reason)),
            .init(name: "createdAt", value: createdAt.json), .init(name: "createdBy", value: .string(createdBy)),
            .init(name: "endedAt", value: endedAt?.json ?? .null),
        ])
        for member in report.object?.members ?? [] { object.append(member.name, member.value) }
        return .object(object)
    }
}

/// Records of Reeve's own that have a subject, which an erasure of telemetry leaves.
public struct SubjectPlace: Sendable {
    let name: String
    /// The table of the control store, and what of it is looked at.
    let table: String
    /// How people come to see them.
    let see: String
    /// What becomes of them, and what people can do.
    let note: String
    let count: @Sendable (String, Transaction) throws -> Int64

    public init(
        _ name: String, table: String, see: String, note: String,
        count: @escaping @Sendable (String, Transaction) throws -> Int64
    ) {
        (self.name, self.table, self.see, self.note) = (name, table, see, note)
        self.count = count
    }

    func json(rows: Int64) -> JSONValue {
        [
            "name": .string(name), "rows": .int(rows), "table": .string(table), "see": .string(see),
            "note": .string(note),
        ]
    }
}

extension ErasureReport: JSONConvertible {
    public var json: JSONValue {
        let files = files.map { file -> JSONValue in
            [
                "name": .string(file.name), "found": .int(Int64(file.found)), "removed": .int(Int64(file.removed)),
                "held": .int(Int64(file.held)), "remaining": .of(file.remaining.map { Int64($0) }),
                "sha256": .of(file.sha256),
            ]
        }
        let places = places.sorted { $0.key < $1.key }.map { name, count -> JSONObject.Member in
            .init(name: name, value: .int(Int64(count)))
        }
        return [
            "found": .int(Int64(found)), "removed": .int(Int64(removed)), "held": .int(Int64(held)),
            "remaining": .of(remaining.map { Int64($0) }), "holds": .list(holds.sorted()),
            "foundIn": .object(JSONObject(places)), "files": .array(files),
            "searched": ["files": .int(Int64(filesSearched)), "places": .list(placesSearched)],
            "progress": ["blocksRead": .int(Int64(blocksRead)), "blocks": .int(Int64(blocks))],
        ]
    }
}
