import Kernel
import NIOCore

/// What a model said in an answer that was captured, whatever its dialect.
struct SaidAnswer: Equatable {
    /// Events of a stream that are read.
    static let eventsMax = 100_000

    var text = ""
    var refusal = ""
    /// Names and arguments.
    var calls: [String] = []
    var stop: StopReason?

    /// Whether nothing was said at all.
    var isEmpty: Bool { text.isEmpty && refusal.isEmpty && calls.isEmpty }

    /// `nil` where it cannot be read, or is no model's answer.
    init?(_ capture: AnswerCapture, dialect: Dialect, isStreamed: Bool) {
        guard capture.isWhole, !capture.isTooLong, capture.body.readableBytes > 0 else { return nil }
        let isRead = isStreamed ? readStream(capture.body, dialect) : readWhole(capture.body, dialect)
        guard isRead else { return nil }
    }

    private mutating func readWhole(_ body: ByteBuffer, _ dialect: Dialect) -> Bool {
        guard let document = try? JSONParser.parse(body.readableBytesView, depthMax: TopLevelScan.depthMax),
            let reply = try? dialect.readReply(document)
        else { return false }
        text = reply.text
        refusal = reply.refusal ?? ""
        for case .toolCall(let call) in reply.parts { calls.append("\(call.name) \(call.arguments)") }
        stop = reply.stop
        return true
    }

    private mutating func readStream(_ body: ByteBuffer, _ dialect: Dialect) -> Bool {
        var events = ServerSentEvents()
        var reader = dialect.streamReader
        var count = 0
        do {
            try body.withUnsafeReadableBytes { raw in
                try events.feed(raw.bindMemory(to: UInt8.self)) { event in
                    count += 1
                    guard count <= Self.eventsMax else { return }
                    for step in (try? reader.read(event)) ?? [] { take(step) }
                }
            }
        } catch { return false }
        return reader.isComplete
    }

    private mutating func take(_ step: StreamEvent) {
        switch step {
        case .textDelta(let piece): text += piece
        case .refusalDelta(let piece): refusal += piece
        case .toolCallStart(_, _, let name): calls.append(name + " ")
        case .argumentsDelta(let index, let piece): if calls.indices.contains(index) { calls[index] += piece }
        case .stop(let reason, _): stop = reason
        default: break
        }
    }

    /// Of what was said, the same for the same words. Lives as long as the process.
    var hash: UInt64 {
        var hasher = Hasher()
        hasher.combine(text)
        hasher.combine(refusal)
        hasher.combine(calls)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
