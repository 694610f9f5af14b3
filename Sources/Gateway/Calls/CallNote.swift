import Kernel

/// A call in one line, for the journal of holds: enough to keep its record where the process is killed before it did.
public struct CallNote: Sendable {
    public let text: String

    init(_ record: CallRecord) {
        var object = JSONObjectText()
        object.append("at", record.startedAt.microseconds)
        object.append("door", record.door.rawValue)
        object.append("model", record.model)
        object.append("key", record.keyID)
        object.append("correlation", record.correlationID)
        object.append("trace", record.trace.traceparent)
        if record.isStreamed { object.append("stream", true) }
        if let agent = record.agent { object.append("agent", agent) }
        if let project = record.project { object.append("project", project) }
        if let task = record.task { object.append("task", task) }
        if let session = record.session { object.append("session", session) }
        if !record.tags.isEmpty { object.append("tags", .list(record.tags)) }
        if let target = record.target { object.append("target", target) }
        text = object.text
    }

    /// The record of a call that a killed process left; `nil` where its line says too little.
    public static func record(_ call: ReplayedCall) -> CallRecord? {
        guard let note = try? JSONParser.parse(Array(call.note.utf8)), let at = note["at"]?.int,
            let door = note["door"]?.string.flatMap(ModelDoor.init(rawValue:))
        else { return nil }
        var record = CallRecord(
            id: call.call, door: door, agent: note["agent"]?.string, keyID: note["key"]?.string ?? "",
            correlationID: note["correlation"]?.string ?? "", startedAt: Timestamp(microseconds: at))
        record.model = note["model"]?.string ?? ""
        record.project = note["project"]?.string
        record.task = note["task"]?.string
        record.session = note["session"]?.string
        record.tags = note["tags"]?.array?.compactMap(\.string) ?? []
        record.target = note["target"]?.string
        record.isStreamed = note["stream"]?.bool ?? false
        record.trace.traceparent = note["trace"]?.string ?? ""
        record.status = call.isEstimated ? .failed : .done
        if call.isEstimated { record.failure = "process_ended" }
        record.cost = NanoDollars(call.amounts.nanoUSD)
        // How the tokens were shared out is not known any more.
        record.usage = TokenUsage(buckets: TokenBuckets([.input: call.amounts.tokens]), isEstimated: true)
        return record
    }
}
