import Kernel
import Telemetry

/// What somebody said of a trace.
struct TraceLabel: Sendable, Equatable {
    /// Characters of a label.
    static let charactersMax = 64
    /// Labels of one trace.
    static let ofTraceMax: Int64 = 20
    /// Labels in all: retention has them in memory.
    static let labelsMax: Int64 = 100_000
    /// What the labels that incidents set begin with; nobody else may.
    static let incidentPrefix = "incident:"

    let traceID: TraceID
    let label: String
    /// What else belongs to the trace, its logs above all.
    let correlationID: String?
    let createdAt: Timestamp
    let createdBy: String

    /// A label from outside: it stands in addresses and in lists.
    static func checked(_ text: String) throws -> String {
        let isForm = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-_.:".utf8.contains(byte)
            }
        }
        guard isForm, (1...charactersMax).contains(text.utf8.count) else {
            throw Problem.invalid(
                "label", "1 to \(charactersMax) letters, digits, dots, dashes, underscores and colons are expected")
        }
        return text
    }
}
