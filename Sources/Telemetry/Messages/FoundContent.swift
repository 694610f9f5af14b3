import Kernel

/// The attributes and events of a span that may tell of its content, by their names.
struct FoundContent {
    enum Side { case input, output }

    private var values: [String: AttributeValue] = [:]
    private var flat: [String: FlatAttributes] = [:]
    private let events: [SpanDetail.Event]
    private(set) var finishReasons: [String]?

    /// The beginnings of flattened lists.
    private static let lists = SpanDialect.sources.flatMap { [$0.input, $0.output] }.compactMap { place -> String? in
        if case .flat(let name)? = place { name } else { nil }
    }
    private static let listBeginnings = Set(lists.compactMap { $0.split(separator: ".").first })

    init(_ span: SpanDetail) {
        // What is told in both ways is told once.
        events = span.events.contains { EventMessage.isTold(by: $0.name) } ? span.events : span.events + span.logged
        for attribute in span.attributes { note(attribute) }
        // What is too large for an attribute may come as an event (`gen_ai.client.inference.operation.details`).
        for event in span.events + span.logged where event.name == "gen_ai.client.inference.operation.details" {
            for attribute in event.attributes where values[attribute.name] == nil { note(attribute) }
        }
        for name in ["gen_ai.response.finish_reasons", "llm.finish_reason", "llm.response.finish_reason"] {
            guard finishReasons == nil, let value = values[name] else { continue }
            let told = MessageReader.lifted(value.json)
            let words = (told.array ?? [told]).compactMap(\.string)
            finishReasons = words.prefix(MessageReader.messagesMax).compactMap(FinishReason.read)
        }
    }

    private mutating func note(_ attribute: Attribute) {
        let beginning = attribute.name.prefix { $0 != "." }
        if Self.listBeginnings.contains(beginning),
            let list = Self.lists.first(where: { attribute.name.hasPrefix($0) })
        {
            flat[list, default: FlatAttributes()].add(attribute.name.dropFirst(list.count), attribute.value)
        } else if values[attribute.name] == nil {
            values[attribute.name] = attribute.value
        }
    }

    var isWhole: Bool {
        flat.values.allSatisfy(\.isWhole) && values[ContentNote.truncated]?.json.bool != true
    }

    /// - Returns: Whether it is there.
    func read(_ source: SpanDialect.Source, _ side: Side, _ head: SpanHead, into reader: inout MessageReader) -> Bool {
        let role = side == .input ? SpanMessage.user : SpanMessage.assistant
        switch side == .input ? source.input : source.output {
        case .messages(let name):
            guard let value = values[name] else { return false }
            if side == .input, let instructions = values["gen_ai.system_instructions"] {
                reader.read(instructions.json, role: SpanMessage.system)
            }
            reader.read(value.json, role: role)
        case .flat(let name):
            guard let items = flat[name]?.items, !items.isEmpty else { return false }
            for item in items { take(item, role, into: &reader) }
        case .events:
            guard events.contains(where: { EventMessage.isTold(by: $0.name) }) else { return false }
            for event in events { EventMessage.read(event, side, into: &reader) }
            return !reader.isEmpty
        case .tool(let name):
            guard let value = values[name] else { return false }
            readTool(value, side, head, into: &reader)
        case nil: return false
        }
        return true
    }

    private func take(_ item: JSONValue, _ role: String, into reader: inout MessageReader) {
        guard let object = item.object else {
            return reader.read(item, role: role)
        }
        reader.note(object["finish_reason"] ?? object["message"]?.object?["finish_reason"])
        if let message = MessageReader.message(object, role: role) {
            reader.add(message)
        } else {
            reader.add(SpanMessage(role, PartReader.parts(item)))
        }
    }

    private func readTool(
        _ value: AttributeValue, _ side: Side, _ head: SpanHead, into reader: inout MessageReader
    ) {
        let id = ["gen_ai.tool.call.id", "tool.id", "ai.toolCall.id"].lazy.compactMap { values[$0]?.string }.first
        let told = MessageReader.lifted(value.json)
        if side == .input {
            let call = SpanMessage.Part.toolCall(id: id, name: head.tool, arguments: Self.arguments(told))
            return reader.add(SpanMessage(SpanMessage.assistant, [call]))
        }
        let response = SpanMessage.Part.toolResponse(id: id, response: PartReader.response(Self.result(told)))
        reader.add(SpanMessage(SpanMessage.tool, [response]))
    }

    /// What a tool was called with: OpenLLMetry packs it with what its framework knew besides (`args` and `kwargs` of
    /// a Python function, `inputs` of LangChain's callbacks).
    private static func arguments(_ value: JSONValue) -> JSONValue {
        guard let object = value.object else { return value }
        if let inputs = object["inputs"], object["kwargs"] != nil || object["tags"] != nil, !inputs.isNull {
            return MessageReader.lifted(inputs)
        }
        guard let named = object["kwargs"]?.object, let others = object["args"]?.array, object.count == 2 else {
            return value
        }
        return others.isEmpty ? .object(named) : named.isEmpty ? .array(others) : value
    }

    private static func result(_ value: JSONValue) -> JSONValue {
        guard let object = value.object, let output = object["output"], object["kwargs"] != nil else { return value }
        // A message of LangChain's, of which the tool said the content.
        return output.object?["kwargs"]?.object?["content"] ?? output.object?["content"] ?? output
    }
}

/// Messages as events of a span: OpenTelemetry's conventions from 1.25 (one event for all) and from 1.28 to 1.36 (one
/// for each).
enum EventMessage {
    private static let roles = [
        "gen_ai.system.message": SpanMessage.system, "gen_ai.user.message": SpanMessage.user,
        "gen_ai.assistant.message": SpanMessage.assistant, "gen_ai.tool.message": SpanMessage.tool,
    ]

    static func isTold(by name: String) -> Bool {
        roles[name] != nil || ["gen_ai.choice", "gen_ai.content.prompt", "gen_ai.content.completion"].contains(name)
    }

    static func read(_ event: SpanDetail.Event, _ side: FoundContent.Side, into reader: inout MessageReader) {
        switch (event.name, side) {
        case ("gen_ai.content.prompt", .input):
            if let value = event.attributes["gen_ai.prompt"] { reader.read(value.json, role: SpanMessage.user) }
        case ("gen_ai.content.completion", .output):
            if let value = event.attributes["gen_ai.completion"] {
                reader.read(value.json, role: SpanMessage.assistant)
            }
        case ("gen_ai.choice", .output):
            let body = body(of: event)
            reader.note(body["finish_reason"])
            if let text = body["message"].map(MessageReader.lifted)?.string {
                if !text.isEmpty { reader.add(SpanMessage(SpanMessage.assistant, [.text(text)])) }
            } else if let message = MessageReader.message(body, role: SpanMessage.assistant) {
                reader.add(message)
            }
        case (let name, .input):
            guard let role = roles[name] else { return }
            var body = body(of: event)
            if role == SpanMessage.tool { body["tool_call_id"] = body["tool_call_id"] ?? body["id"] }
            if let message = MessageReader.message(body, role: role) { reader.add(message) }
        default: break
        }
    }

    /// Its attributes, or all of it in one (Azure's SDK).
    private static func body(of event: SpanDetail.Event) -> JSONObject {
        var body = event.attributes.json.object ?? JSONObject()
        let told = ["gen_ai.event.content", "event_body", "body"].lazy.compactMap { body[$0] }.first
        if let text = told?.string, MessageReader.lifted(.string(text)).object == nil, body["content"] == nil {
            body.append("content", .string(text))
        }
        if let whole = told.map(MessageReader.lifted)?.object {
            for member in whole.members where body[member.name] == nil { body.append(member.name, member.value) }
        }
        return body
    }
}
