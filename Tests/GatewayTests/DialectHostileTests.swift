import Kernel
import Testing

@testable import Gateway

/// Wrong types in every place: an error that names the place, or an answer, but never a trap.
struct DialectHostileTests {
    static let wrong: [JSONValue] = [
        .null, true, -1, 1.5, .int(.max), .int(.min), .double(1e308), "", "x", [], [.null], [[]], [:], ["type": "x"],
    ]

    /// Every document that comes from `document` by putting one wrong value in one place, with the place's path.
    static func mutations(of document: JSONValue, at path: String = "") -> [(String, JSONValue)] {
        var all = wrong.map { (path, $0) }
        switch document {
        case .object(let object):
            for (index, member) in object.members.enumerated() {
                var without = object
                without[member.name] = nil
                let place = path.isEmpty ? member.name : "\(path).\(member.name)"
                all.append((place, .object(without)))
                for (inner, value) in mutations(of: member.value, at: place) {
                    var members = object.members
                    members[index].value = value
                    all.append((inner, .object(JSONObject(members))))
                }
            }
        case .array(let items):
            for (index, item) in items.enumerated() {
                for (inner, value) in mutations(of: item, at: "\(path)[\(index)]") {
                    var changed = items
                    changed[index] = value
                    all.append((inner, .array(changed)))
                }
            }
        default: break
        }
        return all
    }

    private static func isNear(_ param: String, _ place: String) -> Bool {
        // The error may name the place, something inside of it, what holds it, or what stands beside it.
        param.hasPrefix(place) || place.hasPrefix(param) || param.hasPrefix(place.prefix { $0 != "." })
    }

    @Test(arguments: [
        (DialectSamples.chatRequest, Dialect.chat), (DialectSamples.messagesRequest, .messages),
        (DialectSamples.responsesRequest, .responses),
    ])
    func requests(text: String, source: Dialect) throws {
        let document = try DialectSamples.json(text)
        var refused = 0
        for (place, changed) in Self.mutations(of: document) {
            do {
                let request = try source.readRequest(changed)
                _ = TokenEstimate.count(request)
                for target in [Dialect.chat, .messages] {
                    _ = try target.writeRequest(request, model: "claude-opus-4-6")
                }
            } catch let error as DialectError {
                refused += 1
                let isNear = error.param.map { place.isEmpty || Self.isNear($0, place) } ?? true
                // Expectations are slow, and these are thousands.
                if error.status != 400 || error.message.isEmpty || !isNear {
                    Issue.record("\(error.param ?? "-") for \(place): \(error.message)")
                }
            }
        }
        #expect(refused > 200)
    }

    @Test(arguments: [(DialectReplyTests.chat, Dialect.chat), (DialectReplyTests.messages, .messages)])
    func replies(text: String, source: Dialect) throws {
        for (_, changed) in Self.mutations(of: try DialectSamples.json(text)) {
            guard let reply = try? source.readReply(changed) else { continue }
            for target in Dialect.allCases {
                let written = target.writeReply(reply, ReplyContext(createdAt: 1))
                _ = try? target.readReply(written)
            }
        }
        let error = #expect(throws: DialectError.self) {
            try source.readReply(["content": 5, "choices": 5, "output": 5])
        }
        #expect(error?.param != nil)
    }

    @Test(arguments: DialectStreamTests.providers.indices)
    func streams(_ index: Int) throws {
        let (provider, text) = DialectStreamTests.providers[index]
        let events = try DialectSamples.documents(text)
        var client = 0
        for (place, event) in events.enumerated() {
            for (_, changed) in Self.mutations(of: event) {
                var reader = provider.streamReader
                // In turn, as all would take too long.
                client = (client + 1) % Dialect.allCases.count
                var writer = Dialect.allCases[client].streamWriter(ReplyContext(createdAt: 1))
                var output: [UInt8] = []
                for (number, document) in events.enumerated() {
                    // What is not right may be thrown, and reading goes on.
                    let steps = (try? reader.read(name: "", data: number == place ? changed : document)) ?? []
                    for step in steps { writer.write(step, to: &output) }
                }
                writer.write(reader.finish(), to: &output)
                if output.isEmpty { Issue.record("nothing was written") }
            }
        }
    }

    @Test func deepContentIsAnErrorOrAnAnswer() throws {
        func nest(_ open: String, _ inner: String, _ close: String) -> String {
            String(repeating: open, count: 30) + inner + String(repeating: close, count: 30)
        }
        let deep = nest(
            #"{"type":"tool_result","tool_use_id":"a","content":["#, #"{"type":"text","text":"x"}"#, "]}")
        let text = #"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[\#(deep)]}]}"#
        #expect(try DialectSamples.refusal(text, .messages, .chat) != nil)
    }

    @Test(
        arguments: [
            (#"[]"#, nil), (#"{}"#, "model"), (#"{"model":5}"#, "model"), (#"{"model":"m"}"#, "messages"),
            (#"{"model":"m","messages":[]}"#, "messages"), (#"{"model":"m","messages":[5]}"#, "messages[0]"),
            (#"{"model":"m","messages":[{"role":"king","content":"a"}]}"#, "messages[0].role"),
            (#"{"model":"m","messages":[{"role":"user","content":5}]}"#, "messages[0].content"),
            (#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "messages[0].content[0].text"),
            (
                #"{"model":"m","messages":[{"role":"user","content":[{"type":"video"}]}]}"#,
                "messages[0].content[0].type"
            ),
            (#"{"model":"m","messages":[{"role":"tool","content":"a"}]}"#, "messages[0].tool_call_id"),
            (#"{"model":"m","messages":[{"role":"user","content":"a"}],"max_tokens":-1}"#, "max_tokens"),
            (#"{"model":"m","messages":[{"role":"user","content":"a"}],"stop":[1]}"#, "stop[0]"),
            (
                #"{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}"#,
                "tools[0].function"
            ),
        ] as [(String, String?)])
    func errorsNameTheirField(text: String, param: String?) throws {
        let error = try DialectSamples.refusal(text, .chat, .messages)
        #expect(error?.param == param)
        #expect(error?.status == 400)
        #expect(error != nil)
    }

    @Test func listsHaveBounds() throws {
        let stops = JSONValue.array(Array(repeating: "x", count: ModelRequest.itemsMax + 1))
        let body: JSONValue = ["model": "m", "messages": [["role": "user", "content": "a"]], "stop": stops]
        let error = #expect(throws: DialectError.self) { try ChatRequestReader.read(body) }
        #expect(error?.param == "stop")
        let messages = JSONValue.array(
            Array(repeating: ["role": "user", "content": "a"], count: ModelRequest.messagesMax + 1))
        let many = #expect(throws: DialectError.self) {
            try ChatRequestReader.read(["model": "m", "messages": messages])
        }
        #expect(many?.param == "messages")
    }
}
