import Kernel

/// What kinds of records there are, by OpenTelemetry's names.
public enum TelemetrySignal: String, Sendable, CaseIterable {
    case traces, logs, metrics
}

/// What became of every record, over all starts: received = stored + rejected + shed + duplicate + pending, once all
/// that waits is in the archive.
public struct TelemetryLedger: Sendable, Equatable {
    public internal(set) var received = 0
    public internal(set) var stored = 0
    public internal(set) var duplicate = 0
    /// Spans that only said that they had begun.
    public internal(set) var pending = 0
    public internal(set) var shedByCategory: [TelemetryCategory: Int] = [:]
    public internal(set) var rejectedByReason: [RecordFlaw: Int] = [:]
    /// Requests that were refused as a whole and may be repeated.
    public internal(set) var refusedRequests = 0

    public var rejected: Int { rejectedByReason.values.reduce(0, +) }
    public var shed: Int { shedByCategory.values.reduce(0, +) }

    /// Records that became something.
    fileprivate var settled: Int { stored + duplicate + pending + rejected + shed }
}

/// The ledger of each signal.
public struct TelemetryLedgers: Sendable, Equatable {
    private var bySignal: [TelemetrySignal: TelemetryLedger] = [:]

    public internal(set) subscript(signal: TelemetrySignal) -> TelemetryLedger {
        get { bySignal[signal] ?? TelemetryLedger() }
        set { bySignal[signal] = newValue }
    }

    public init() {}

    /// What ``json`` wrote. Whatever is no count is none.
    init(_ items: JSONValue) {
        for item in items.array ?? [] {
            guard let signal = item["signal"]?.string.flatMap(TelemetrySignal.init) else { continue }
            bySignal[signal] = TelemetryLedger(item)
        }
    }

    /// Without what is received and waits.
    var settled: TelemetryLedgers {
        var ledgers = self
        for signal in bySignal.keys { ledgers[signal].received = self[signal].settled }
        return ledgers
    }

    public var json: JSONValue {
        .array(TelemetrySignal.allCases.map { self[$0].json(of: $0) })
    }
}

extension TelemetryLedger {
    fileprivate init(_ json: JSONValue) {
        func count(_ value: JSONValue?) -> Int { max(0, value?.int.map { Int(clamping: $0) } ?? 0) }
        received = count(json["received"])
        stored = count(json["stored"])
        duplicate = count(json["duplicate"])
        pending = count(json["pending"])
        refusedRequests = count(json["refusedRequests"])
        for member in json["shedByCategory"]?.object?.members ?? [] {
            TelemetryCategory(rawValue: member.name).map { shedByCategory[$0] = count(member.value) }
        }
        for member in json["rejectedByReason"]?.object?.members ?? [] {
            RecordFlaw(rawValue: member.name).map { rejectedByReason[$0] = count(member.value) }
        }
    }

    fileprivate func json(of signal: TelemetrySignal) -> JSONValue {
        let reasons = rejectedByReason.sorted { $0.key.rawValue < $1.key.rawValue }
        let categories = shedByCategory.sorted { $0.key.rawValue < $1.key.rawValue }
        return [
            "signal": .string(signal.rawValue), "received": .int(Int64(received)), "stored": .int(Int64(stored)),
            "rejected": .int(Int64(rejected)), "duplicate": .int(Int64(duplicate)), "pending": .int(Int64(pending)),
            "shed": .int(Int64(shed)),
            "shedByCategory": .object(
                JSONObject(categories.map { .init(name: $0.key.rawValue, value: .int(Int64($0.value))) })),
            "rejectedByReason": .object(
                JSONObject(reasons.map { .init(name: $0.key.rawValue, value: .int(Int64($0.value))) })),
            "refusedRequests": .int(Int64(refusedRequests)),
        ]
    }
}
