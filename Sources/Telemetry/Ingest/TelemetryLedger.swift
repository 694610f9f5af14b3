import Kernel
import Synchronization

/// What became of every record: received = stored + rejected + duplicate, once all that waits is in the archive.
public struct TelemetryLedger: Sendable, Equatable {
    public internal(set) var received = 0
    public internal(set) var stored = 0
    public internal(set) var duplicate = 0
    public internal(set) var rejectedByReason: [RecordFlaw: Int] = [:]
    /// Requests that were refused as a whole and may be repeated.
    public internal(set) var refusedRequests = 0

    public var rejected: Int { rejectedByReason.values.reduce(0, +) }

    public var json: JSONValue {
        let reasons = rejectedByReason.sorted { $0.key.rawValue < $1.key.rawValue }
        return [
            "signal": "traces", "received": .int(Int64(received)), "stored": .int(Int64(stored)),
            "rejected": .int(Int64(rejected)), "duplicate": .int(Int64(duplicate)),
            "rejectedByReason": .object(
                JSONObject(reasons.map { .init(name: $0.key.rawValue, value: .int(Int64($0.value))) })),
            "refusedRequests": .int(Int64(refusedRequests)),
        ]
    }
}
