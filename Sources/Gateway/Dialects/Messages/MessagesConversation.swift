import Kernel

/// Puts a conversation into the messages of Anthropic's dialect, and mends what its rules forbid: roles alternate and
/// begin with the user, no content is empty, each call is answered in the next message and nothing else is.
struct MessagesConversation {
    /// Said by the user where a conversation begins with the model.
    static let opening = "Please continue."
    /// Stands for what a tool brought where nothing came.
    static let missingResult = "This call has no result."

    private(set) var system: [JSONValue] = []
    private(set) var dropped: [String] = []
    private var turns: [Turn] = []
    private var ids: Set<String> = []
    private var marks: CacheMarks

    /// Whether the provider would see thoughts that it asks for: the last calls come with none.
    private(set) var endsWithUnsignedCalls = false
    var hasCalls: Bool { turns.contains { $0.hasCalls } }
    var messages: [JSONValue] {
        turns.map { turn in
            ["role": turn.isUser ? "user" : "assistant", "content": .array(turn.blocks.map { .object($0.json) })]
        }
    }

    init(_ request: ModelRequest, marks: CacheMarks) throws {
        self.marks = marks
        for part in request.system { try instruct(part) }
        for message in request.messages {
            if message.role == .system {
                for part in message.parts { try instruct(part) }
            } else {
                try append(message, keepsThoughts: request.source == .messages)
            }
        }
        if turns.isEmpty, !system.isEmpty {
            // Instructions alone are no conversation to Anthropic.
            turns = [Turn(isUser: true, blocks: system.compactMap { $0.object.map { Block(json: $0) } })]
            system = []
        }
        guard !turns.isEmpty else { throw DialectError.invalid("messages", "'messages' holds nothing to answer.") }
        if !turns[0].isUser { turns.insert(Turn(isUser: true, blocks: [Block(text: Self.opening)]), at: 0) }
        trimEnd()
        pairCalls()
    }

    // MARK: Blocks

    private struct Block {
        var json: JSONObject
        var callID: String?
        var resultID: String?
        var isThought = false

        init(json: JSONObject) {
            self.json = json
        }

        init(text: String) {
            json = JSONObject([.init(name: "type", value: "text"), .init(name: "text", value: .string(text))])
        }
    }

    private struct Turn {
        let isUser: Bool
        var blocks: [Block]
        var hasCalls: Bool { blocks.contains { $0.callID != nil } }
    }

    private static func isBlank(_ text: String) -> Bool { text.allSatisfy(\.isWhitespace) }

    private func unsupported(_ part: ModelPart) -> DialectError {
        .unsupported(part.path, "'\(part.path)' has no like for this model.")
    }

    private mutating func instruct(_ part: ModelPart) throws {
        guard let text = part.text else { throw unsupported(part) }
        guard !Self.isBlank(text) else { return }
        var block = Block(text: text)
        marks.write(part.cache, to: &block.json)
        system.append(.object(block.json))
    }

    private mutating func append(_ message: ModelMessage, keepsThoughts: Bool) throws {
        if message.name != nil { dropped.append("\(message.path).name") }
        var blocks: [Block] = []
        for part in message.parts {
            guard var block = try block(part, keepsThoughts: keepsThoughts) else { continue }
            marks.write(part.cache, to: &block.json)
            blocks.append(block)
        }
        guard !blocks.isEmpty else { return }
        let isUser = message.role == .user
        if let last = turns.last, last.isUser == isUser {
            turns[turns.count - 1].blocks += blocks
        } else {
            turns.append(Turn(isUser: isUser, blocks: blocks))
        }
    }

    /// `nil` where there is nothing to say.
    private mutating func block(_ part: ModelPart, keepsThoughts: Bool) throws -> Block? {
        switch part.kind {
        case .text(let text), .refusal(let text): return Self.isBlank(text) ? nil : Block(text: text)
        case .image(let file, _): return Block(json: try image(file, part))
        case .document(let file, let title): return Block(json: try document(file, title, part))
        case .toolCall(let call):
            let input = call.input
            if !input.isExact { dropped.append("\(part.path).\(argumentsName(part))") }
            var block = Block(
                json: JSONObject([
                    .init(name: "type", value: "tool_use"), .init(name: "id", value: .string(call.id)),
                    .init(name: "name", value: .string(call.name)), .init(name: "input", value: input.value),
                ]))
            block.callID = call.id
            return block
        case .toolResult(let result): return try self.result(result)
        case .reasoning(let reasoning):
            guard keepsThoughts, let thought = Self.thought(reasoning) else {
                dropped.append(part.path)
                return nil
            }
            return thought
        case .trace:
            dropped.append(part.path)
            return nil
        case .foreign: throw unsupported(part)
        }
    }

    private func argumentsName(_ part: ModelPart) -> String {
        part.path.hasPrefix("messages") ? "function.arguments" : "arguments"
    }

    private static func thought(_ reasoning: Reasoning) -> Block? {
        var json: JSONObject
        if let sealed = reasoning.sealed {
            json = JSONObject([.init(name: "type", value: "redacted_thinking")])
            json.append("data", .string(sealed))
        } else if let signature = reasoning.signature {
            json = JSONObject([.init(name: "type", value: "thinking")])
            json.append("thinking", .string(reasoning.text))
            json.append("signature", .string(signature))
        } else {
            return nil
        }
        var block = Block(json: json)
        block.isThought = true
        return block
    }

    private static let imageTypes: Set<String> = ["image/jpeg", "image/png", "image/gif", "image/webp"]

    private func image(_ file: ModelFile, _ part: ModelPart) throws -> JSONObject {
        let source: JSONValue
        switch file {
        case .url(let url) where url.hasPrefix("http"): source = ["type": "url", "url": .string(url)]
        case .base64(let data, let type) where Self.imageTypes.contains(type):
            source = ["type": "base64", "media_type": .string(type), "data": .string(data)]
        default: throw unsupported(part)
        }
        return JSONObject([.init(name: "type", value: "image"), .init(name: "source", value: source)])
    }

    private func document(_ file: ModelFile, _ title: String?, _ part: ModelPart) throws -> JSONObject {
        let source: JSONValue
        switch file {
        case .base64(_, let type) where type.hasPrefix("image/"): return try image(file, part)
        case .url(let url) where url.hasPrefix("http"): source = ["type": "url", "url": .string(url)]
        case .base64(let data, "application/pdf"):
            source = ["type": "base64", "media_type": "application/pdf", "data": .string(data)]
        case .text(let text): source = ["type": "text", "media_type": "text/plain", "data": .string(text)]
        case .base64, .url, .id: throw unsupported(part)
        }
        var json = JSONObject([.init(name: "type", value: "document"), .init(name: "source", value: source)])
        if let title { json.append("title", .string(title)) }
        return json
    }

    private mutating func result(_ result: ToolResult) throws -> Block {
        var content: [JSONValue] = []
        for part in result.parts {
            guard var inner = try block(part, keepsThoughts: false) else { continue }
            marks.write(part.cache, to: &inner.json)
            content.append(.object(inner.json))
        }
        var json = JSONObject([
            .init(name: "type", value: "tool_result"), .init(name: "tool_use_id", value: .string(result.callID)),
        ])
        if !content.isEmpty { json.append("content", .array(content)) }
        if result.isError { json.append("is_error", true) }
        var block = Block(json: json)
        block.resultID = result.callID
        return block
    }

    // MARK: Mending

    /// The end of an answer to be continued must not be space.
    private mutating func trimEnd() {
        guard let last = turns.last, !last.isUser, let block = last.blocks.last, let text = block.json["text"]?.string
        else { return }
        let end = text.lastIndex { !$0.isWhitespace } ?? text.startIndex
        turns[turns.count - 1].blocks[last.blocks.count - 1].json["text"] = .string(String(text[...end]))
    }

    /// Brings calls to the end of their turn and their results to the beginning of the next, gives calls ids that
    /// stand only once, answers calls without a result, and turns results without a call into text.
    private mutating func pairCalls() {
        var paired: [Turn] = []
        var open: [(asked: String, id: String)] = []
        for var turn in turns {
            if turn.isUser {
                turn.blocks = answer(open, with: turn.blocks)
                open = []
            } else {
                (turn.blocks, open) = nameCalls(turn.blocks)
                endsWithUnsignedCalls = !open.isEmpty && turn.blocks.first?.isThought != true
            }
            paired.append(turn)
        }
        if !open.isEmpty { paired.append(Turn(isUser: true, blocks: answer(open, with: []))) }
        turns = paired
    }

    private mutating func nameCalls(_ blocks: [Block]) -> ([Block], [(asked: String, id: String)]) {
        var open: [(asked: String, id: String)] = []
        var calls: [Block] = []
        for var block in blocks {
            guard let asked = block.callID else { continue }
            var id = Dialect.identifier(asked)
            var number = 2
            while !ids.insert(id).inserted {
                id = "\(Dialect.identifier(asked))_\(ids.count)_\(number)"
                number += 1
            }
            block.json["id"] = .string(id)
            calls.append(block)
            open.append((asked, id))
        }
        return (blocks.filter { $0.callID == nil } + calls, open)
    }

    private func answer(_ open: [(asked: String, id: String)], with blocks: [Block]) -> [Block] {
        var waiting: [String: [String]] = [:]
        for call in open.reversed() { waiting[call.asked, default: []].append(call.id) }
        var results: [String: Block] = [:]
        var others: [Block] = []
        for var block in blocks {
            guard let asked = block.resultID else {
                others.append(block)
                continue
            }
            if let id = waiting[asked]?.popLast() {
                block.json["tool_use_id"] = .string(id)
                results[id] = block
            } else {
                others += Self.orphan(block, asked)
            }
        }
        let answered = open.map { call in results[call.id] ?? Self.missing(call.id) }
        return answered + others
    }

    private static func missing(_ id: String) -> Block {
        Block(
            json: JSONObject([
                .init(name: "type", value: "tool_result"), .init(name: "tool_use_id", value: .string(id)),
                .init(name: "content", value: .string(missingResult)), .init(name: "is_error", value: true),
            ]))
    }

    private static func orphan(_ block: Block, _ id: String) -> [Block] {
        let content = block.json["content"]?.array?.compactMap { $0.object.map { Block(json: $0) } } ?? []
        return [Block(text: "[Result of an earlier tool call \(Dialect.identifier(id)):]")] + content
    }
}

/// Places up to which a prompt is to be cached, as many as Anthropic takes (Anthropic API reference, Prompt caching).
struct CacheMarks {
    static let marksMax = 4

    private let kept: Set<String>
    /// Paths of those beyond the bound: the last ones cover the most.
    let dropped: [String]

    init(_ request: ModelRequest) {
        var paths = request.tools.compactMap(\.cache?.path) + request.system.compactMap(\.cache?.path)
        for message in request.messages {
            for part in message.parts {
                if case .toolResult(let result) = part.kind { paths += result.parts.compactMap(\.cache?.path) }
                if let path = part.cache?.path { paths.append(path) }
            }
        }
        kept = Set(paths.suffix(Self.marksMax))
        dropped = Array(paths.dropLast(Self.marksMax))
    }

    func write(_ mark: CacheMark?, to block: inout JSONObject) {
        guard let mark, kept.contains(mark.path) else { return }
        var control = JSONObject([.init(name: "type", value: "ephemeral")])
        if let lifetime = mark.lifetime { control.append("ttl", .string(lifetime == "5m" ? "5m" : "1h")) }
        block.append("cache_control", .object(control))
    }
}
