import Kernel

@testable import Gateway

/// Bodies as real clients and providers send them, and short words for tests of the dialects.
enum DialectSamples {
    static func json(_ text: String) throws -> JSONValue { try JSONParser.parse(text, depthMax: 128) }

    /// What `document` becomes, with the paths that were dropped.
    static func translate(
        _ text: String, _ source: Dialect, _ target: Dialect, model: String = "m"
    ) throws -> TranslatedRequest {
        try TranslatedRequest.translate(json(text), from: source, to: target, model: model)
    }

    /// The refusal of `text`; `nil` where it is accepted.
    static func refusal(
        _ text: String, _ source: Dialect, _ target: Dialect, model: String = "m", isStrict: Bool = false
    ) throws -> DialectError? {
        do {
            _ = try TranslatedRequest.translate(json(text), from: source, to: target, model: model, isStrict: isStrict)
            return nil
        } catch let error as DialectError {
            return error
        }
    }

    /// The bytes that a client of `target` gets for a provider's stream that comes in pieces of `size` bytes.
    static func stream(
        _ text: String, _ source: Dialect, _ target: Dialect, size: Int = .max, tellsUsage: Bool = true
    ) throws -> String {
        var parser = ServerSentEvents()
        var reader = source.streamReader
        var writer = target.streamWriter(ReplyContext(createdAt: 1_700_000_000, tellsUsage: tellsUsage))
        var output: [UInt8] = []
        func read(_ event: borrowing ServerSentEvent) {
            do {
                for step in try reader.read(event) { writer.write(step, to: &output) }
            } catch {
                writer.write(.failure(error as? DialectError ?? .brokenStream()), to: &output)
            }
        }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            try parser.feed(Array(bytes.prefix(size)), read)
            bytes = bytes.dropFirst(size)
        }
        try parser.finish(read)
        writer.write(reader.finish(), to: &output)
        return String(decoding: output, as: UTF8.self)
    }

    /// The documents of a stream's events; `[DONE]` as a text.
    static func documents(_ stream: String) throws -> [JSONValue] {
        try stream.split(separator: "\n").filter { $0.hasPrefix("data: ") }.map { line in
            line == "data: [DONE]" ? "[DONE]" : try json(String(line.dropFirst(6)))
        }
    }

    /// A stream of events without names; `text` has an empty line between documents, which may go over several lines.
    static func plain(_ text: String) -> String {
        text.split(separator: "\n\n").map { event in
            "data: \(event.split(separator: "\n").joined())\n\n"
        }.joined()
    }

    /// A stream of events that are named by their `type`.
    static func named(_ text: String) -> String {
        text.split(separator: "\n\n").map { event in
            let data = event.split(separator: "\n").joined()
            let type = (try? json(data))?["type"]?.string ?? "none"
            return "event: \(type)\ndata: \(data)\n\n"
        }.joined()
    }

    static let chatRequest = #"""
        {"model":"gpt-4o","messages":[
          {"role":"system","content":"You help with travel."},
          {"role":"user","content":[{"type":"text","text":"What is this, and how is the weather there and in Rome?"},
            {"type":"image_url","image_url":{"url":"data:image/jpeg;base64,/9j/4AAQ","detail":"low"}}]},
          {"role":"assistant","content":"Let me look.","tool_calls":[
            {"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}},
            {"id":"call_2","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Rome\"}"}}]},
          {"role":"tool","tool_call_id":"call_1","content":"3 degrees"},
          {"role":"tool","tool_call_id":"call_2","content":[{"type":"text","text":"21 degrees"}]},
          {"role":"user","content":"Thanks. As JSON, please."}],
         "tools":[{"type":"function","function":{"name":"weather","description":"The weather now","parameters":
           {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}],
         "tool_choice":"auto","parallel_tool_calls":true,"max_completion_tokens":500,"temperature":0.2,
         "stop":["END","\n\n"],"stream":true,"stream_options":{"include_usage":true},"user":"u-1",
         "response_format":{"type":"json_schema","json_schema":{"name":"places","strict":true,"schema":
           {"type":"object","properties":{"places":{"type":"array","items":{"type":"string"}}},
            "required":["places"],"additionalProperties":false}}}}
        """#

    static let messagesRequest = #"""
        {"model":"claude-sonnet-4-5","max_tokens":4000,"system":[
           {"type":"text","text":"You help with travel.","cache_control":{"type":"ephemeral"}},
           {"type":"text","text":"Be brief."}],
         "messages":[
          {"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}},
            {"type":"text","text":"How is the weather there?"}]},
          {"role":"assistant","content":[{"type":"thinking","thinking":"A fjord.","signature":"c2ln"},
            {"type":"text","text":"Let me look."},
            {"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Oslo"}},
            {"type":"tool_use","id":"toolu_2","name":"camera","input":{}}]},
          {"role":"user","content":[
            {"type":"tool_result","tool_use_id":"toolu_1","content":"no such city","is_error":true},
            {"type":"tool_result","tool_use_id":"toolu_2","content":[{"type":"text","text":"seen"},
              {"type":"image","source":{"type":"url","url":"https://x.org/a.png"}}]},
            {"type":"text","text":"And now?"}]}],
         "tools":[{"name":"weather","description":"The weather now","input_schema":{"type":"object",
            "properties":{"city":{"type":"string"}}}},{"name":"camera","input_schema":{"type":"object"}}],
         "tool_choice":{"type":"any","disable_parallel_tool_use":true},"stop_sequences":["END"],"top_k":40,
         "thinking":{"type":"enabled","budget_tokens":2000},"metadata":{"user_id":"u-1"},"stream":true}
        """#

    static let responsesRequest = #"""
        {"model":"gpt-4o","instructions":"You help with travel.","input":[
          {"role":"user","content":[{"type":"input_text","text":"What is this?"},
            {"type":"input_image","image_url":"https://x.org/a.png","detail":"auto"}]},
          {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"gAAA"},
          {"type":"message","id":"msg_1","role":"assistant","status":"completed",
            "content":[{"type":"output_text","text":"Let me look.","annotations":[]}]},
          {"type":"function_call","id":"fc_1","call_id":"call_1","name":"weather","arguments":"{\"city\":\"Oslo\"}"},
          {"type":"function_call","id":"fc_2","call_id":"call_2","name":"weather","arguments":"{\"city\":\"Rome\"}"},
          {"type":"function_call_output","call_id":"call_1","output":"3 degrees"},
          {"type":"function_call_output","call_id":"call_2","output":"21 degrees"}],
         "tools":[{"type":"function","name":"weather","parameters":{"type":"object","properties":{}},"strict":false},
           {"type":"web_search","user_location":{"type":"approximate","city":"Oslo","country":"NO"}}],
         "tool_choice":"required","parallel_tool_calls":false,"max_output_tokens":900,"store":false,
         "text":{"format":{"type":"text"},"verbosity":"medium"},"metadata":{"run":"7"}}
        """#
}
