import Kernel
import NIOCore
import Synchronization
import Telemetry

/// What was said in a call, from its end until its span is handed over: the bytes of both sides, which nobody has read
/// yet. Reading them takes longer than all else that Reeve does at a call, and happens away from it.
final class CallContent: OwnSpanContent {
    /// Bytes of the messages of one side that a span keeps; of a longer conversation the instructions and the latest.
    static let sideBytesMax = 1 << 20
    /// Bytes of one side as JSON: a text of control characters is six times as long.
    static let textBytesMax = 3 << 20

    private let door: ModelDoor
    private let request: [UInt8]
    /// What the caller got; empty where that was no answer.
    private let answer: ByteBuffer
    private let isStreamed: Bool
    /// Whether the answer was too long to be kept.
    private let isCut: Bool
    private let rules: RedactionRules
    private let contents: CallContents
    private let lease: BodyRoom.Lease

    init?(
        _ call: ModelCall, answer: ByteBuffer, isCut: Bool, rules: RedactionRules, contents: CallContents
    ) {
        guard let lease = contents.lease(call.request.body.count + answer.readableBytes) else { return nil }
        door = call.request.door
        request = call.request.body
        self.answer = answer
        isStreamed = call.record.isStreamed
        self.isCut = isCut
        self.rules = rules
        self.contents = contents
        self.lease = lease
    }

    var bytes: Int { request.count + answer.readableBytes }

    func shed() -> [Attribute] {
        contents.count(isKept: false)
        return [Attribute(ContentNote.truncated, .bool(true))]
    }

    func attributes() -> [Attribute] {
        contents.count(isKept: true)
        var isWhole = !isCut
        var attributes: [Attribute] = []
        let document = try? JSONParser.parse(request, depthMax: TopLevelScan.depthMax)
        add("gen_ai.input.messages", document.map(ModelMessages.asked), to: &attributes, &isWhole)
        let said = answered
        add("gen_ai.output.messages", said, to: &attributes, &isWhole)
        if let reasons = said?.finishReasons, !reasons.isEmpty {
            attributes.append(
                Attribute("gen_ai.response.finish_reasons", .array(reasons.map(AttributeValue.string))))
        }
        if !isWhole { attributes.append(Attribute(ContentNote.truncated, .bool(true))) }
        return attributes
    }

    /// Vectors are nothing that was said.
    private var answered: ModelMessages? {
        guard door != .embeddings, answer.readableBytes > 0 else { return nil }
        let document =
            isStreamed
            ? StreamedDocument.read(answer, door.dialect)
            : try? JSONParser.parse(answer.readableBytesView, depthMax: TopLevelScan.depthMax)
        return document.map(ModelMessages.answered)
    }

    private func add(
        _ name: String, _ found: ModelMessages?, to attributes: inout [Attribute], _ isWhole: inout Bool
    ) {
        guard let found, !found.isEmpty else { return }
        let fitted = found.fitted(to: Self.sideBytesMax)
        isWhole = isWhole && fitted.isWhole
        let text = MessageRedaction.clean(JSONValue.list(fitted.messages), rules).text
        guard text.utf8.count <= Self.textBytesMax else {
            isWhole = false
            return
        }
        attributes.append(Attribute(name, .string(text)))
    }
}

/// Takes what rules name out of messages.
enum MessageRedaction {
    static func clean(_ value: JSONValue, _ rules: RedactionRules) -> JSONValue {
        switch value {
        case .string(let text): return .string(Redactor.redact(text, rules))
        case .array(let items): return .array(items.map { clean($0, rules) })
        case .object(let object):
            // The bytes of an image are none that anybody reads; by chance they look like a key.
            let isBlob = object["type"]?.string == "blob"
            return .object(
                JSONObject(
                    object.members.map { member in
                        let isKept = isBlob && member.name == "content"
                        return .init(name: member.name, value: isKept ? member.value : clean(member.value, rules))
                    }))
        case .null, .bool, .int, .double: return value
        }
    }
}

/// Whether and how the gateway keeps what was said in calls.
final class CallContents: Sendable {
    /// Bytes of all that waits for its span.
    static let waitingBytesMax = 64 << 20

    private let room: BodyRoom
    private let outcomes = Mutex((kept: Int64(0), dropped: Int64(0)))

    init(bytesMax: Int = CallContents.waitingBytesMax) { room = BodyRoom(bytesMax: bytesMax) }

    /// `nil` where there is no room: the call's span has no messages then.
    func lease(_ bytes: Int) -> BodyRoom.Lease? {
        let lease = room.lease()
        guard lease.take(bytes) else {
            count(isKept: false)
            return nil
        }
        return lease
    }

    func count(isKept: Bool) { outcomes.withLock { if isKept { $0.kept += 1 } else { $0.dropped += 1 } } }

    func collect(into page: inout MetricPage) {
        let (kept, dropped) = outcomes.withLock { $0 }
        var family = CounterFamily(GatewayMetrics.contents)
        family.add(kept, ["kept"])
        family.add(dropped, ["dropped"])
        page.add(family)
    }
}

extension ModelCall {
    /// Whether its span is to have its messages. A caller who wants nothing stored (`Cache-Control: no-store`, RFC 9111
    /// §5.2.1.5) is obeyed.
    var tellsContent: Bool {
        guard gateway.contents != nil, !isInner, onEnd == nil, request.door != .countTokens else { return false }
        return request.headers["cache-control"]?.lowercased().contains("no-store") != true
    }

    /// Hands what was said to the call's record, once the answer is out.
    func keepContent() {
        guard let model, let contents = gateway.contents, tellsContent else { return }
        // What may not be sent is not kept either.
        guard record.failure != InputCheck.refusedCode, record.failure != InputCheck.uncheckedCode else { return }
        let isAnswer = (200..<300).contains(record.httpStatus)
        let answer = isAnswer ? capture?.body ?? ByteBuffer() : ByteBuffer()
        let isCut = isAnswer && capture?.isTooLong == true
        let personal = model.settings.output.redactsPersonalData
        record.content = CallContent(
            self, answer: answer, isCut: isCut, rules: personal ? .all : .secretsOnly, contents: contents)
    }
}
