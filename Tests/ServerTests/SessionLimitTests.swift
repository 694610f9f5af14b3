import Control
import Foundation
import Kernel
import Server
import TestSupport
import Testing

@Suite("What a session may use altogether")
struct SessionLimitTests {
    private typealias Calls = FlagEnforcementTests
    private static let words = "one two three four five six seven eight nine"
    private static let key = "limits.maxTokensPerSession"

    private static func ask(
        _ client: AppClient, _ key: String, session: String?, _ more: JSONValue = [:], words: String = words
    ) async throws -> AppReply {
        try await Calls.ask(
            client, key, Calls.small, words, more, headers: session.map { [("x-reeve-session", $0)] } ?? [])
    }

    private static func total(_ reply: AppReply) -> Int64 { reply.json["usage"]?["total_tokens"]?.int ?? 0 }

    @Test("it is used up by its calls, and then refuses with its reason", arguments: TestEngine.available)
    func used(_ engine: TestEngine) async throws {
        try await Calls.run(engine) { client in
            let key = try await client.key(.agent, agent: "writer")
            try await Calls.flag(client, "short", Calls.limit(Self.key, 60))
            var used: Int64 = 0
            var last: AppReply?
            for _ in 0..<20 {
                let reply = try await Self.ask(client, key, session: "one")
                last = reply
                guard reply.status == 200 else { break }
                used += Self.total(reply)
            }
            #expect((1...60).contains(used))
            let refused = try #require(last)
            #expect(refused.status == 403 && refused["error"]?["code"] == "session_token_limit", "\(refused.text)")
            let message = refused["error"]?["message"]?.string ?? ""
            for part in [Self.key, "is 60 tokens", "the flag \"short\"", "used \(used)", "`one`", "new session"] {
                #expect(message.contains(part), "\(message)")
            }
            let record = try await Calls.record(client, refused)
            #expect(record["failure"] == "session_token_limit" && record["attempts"]?.array?.isEmpty == true)
            // Anthropic's callers are told in their own words.
            let said = try await client.post(
                "/v1/messages",
                [
                    "model": .string(Calls.small), "max_tokens": 9,
                    "messages": [["role": "user", "content": .string(Self.words)]],
                ], key: key, headers: [("x-reeve-session", "one")])
            #expect(said.status == 403 && said["error"]?["type"] == "permission_error", "\(said.text)")
            let responses = try await client.post(
                "/v1/responses", ["model": .string(Calls.small), "input": .string(Self.words), "stream": true],
                key: key, headers: [("x-reeve-session", "one")])
            #expect(responses.status == 403 && responses.text.contains("session_token_limit"))
            // Other sessions, other agents, and calls of no session are not concerned.
            #expect(try await Self.ask(client, key, session: "two").status == 200)
            #expect(try await Self.ask(client, key, session: nil).status == 200)
            let other = try await client.key(.agent, agent: "other")
            #expect(try await Self.ask(client, other, session: "one").status == 200)
            // Raised, it goes on.
            try await Calls.flag(client, "short", Calls.limit(Self.key, 500))
            #expect(try await Self.ask(client, key, session: "one").status == 200)
        }
    }

    @Test("the last answer is as long as what is left, at every door, streamed or not")
    func capped() async throws {
        try await Calls.run { client in
            let key = try await client.key(.agent, agent: "writer")
            let long = String(repeating: "word ", count: 60)
            try await Calls.flag(client, "short", Calls.limit(Self.key, 100))
            let whole = try await Self.ask(client, key, session: "chat", words: long)
            #expect(whole.status == 200 && Self.total(whole) <= 100, "\(whole.text)")
            #expect(whole.json["choices"]?.array?.first?["finish_reason"] == "length")
            #expect(whole.header("x-reeve-config") == "\(Self.key); layer=flag; flag=short; variant=low")
            let bodies: [(String, JSONValue)] = [
                (
                    "/v1/chat/completions",
                    ["stream": true, "messages": [["role": "user", "content": .string(long)]]]
                ), ("/v1/responses", ["input": .string(long)]),
                ("/v1/responses", ["input": .string(long), "stream": true]),
                (
                    "/v1/messages",
                    ["max_tokens": 900, "messages": [["role": "user", "content": .string(long)]]]
                ),
                (
                    "/v1/messages",
                    ["max_tokens": 900, "stream": true, "messages": [["role": "user", "content": .string(long)]]]
                ),
            ]
            for (number, (path, body)) in bodies.enumerated() {
                var object = body.object ?? JSONObject()
                object["model"] = .string(Calls.small)
                let session = [("x-reeve-session", "s\(number)")]
                let reply = try await client.post(path, .object(object), key: key, headers: session)
                #expect(reply.status == 200, "\(path) \(reply.text)")
                let buckets = try await Calls.record(client, reply)["usage"]?["buckets"]
                let (input, output) = (buckets?["input"]?.int ?? 0, buckets?["output"]?.int ?? 0)
                #expect(output > 0 && input + output <= 100, "\(path) \(input) \(output)")
                let again = try await client.post(path, .object(object), key: key, headers: session)
                #expect(again.status == 403 && again.text.contains("session_token_limit"), "\(path) \(again.text)")
            }
        }
    }

    @Test("many calls at once do not overspend together", arguments: TestEngine.available)
    func atOnce(_ engine: TestEngine) async throws {
        try await Calls.run(engine) { client in
            let key = try await client.key(.agent, agent: "writer")
            try await Calls.flag(client, "short", Calls.limit(Self.key, 150))
            let replies = try await withThrowingTaskGroup(of: AppReply.self) { group in
                for _ in 0..<24 { group.addTask { try await Self.ask(client, key, session: "one") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let used = replies.reduce(0) { $0 + Self.total($1) }
            #expect(used > 0 && used <= 150)
            for reply in replies where reply.status != 200 {
                let code = reply["error"]?["code"]?.string
                #expect(
                    (reply.status == 429 && code == "session_tokens_in_flight" && reply.header("retry-after") == "1")
                        || (reply.status == 403 && code == "session_token_limit"), "\(reply.text)")
            }
            // What was held for answers that came out shorter is free again: exactly what is used counts.
            let words = String(repeating: "word ", count: 400)
            let told = try await Self.ask(client, key, session: "one", words: words)
            #expect(told.status == 403 && told.text.contains("has used \(used),"), "\(used) \(told.text)")
        }
    }

    @Test("bundles, operators and users set it too; a user's own only lowers it")
    func layers() async throws {
        try await Calls.run { client in
            try await Calls.push(
                client, "writer", "models: {main: \(Calls.small)}\nlimits: {max_tokens_per_session: 40}")
            let key = try await client.key(.agent, agent: "writer")
            func refusal(_ session: String, user: String? = nil) async throws -> String {
                let headers = [("x-reeve-session", session)] + (user.map { [("x-reeve-user", $0)] } ?? [])
                let words = String(repeating: "word ", count: 100)
                let reply = try await Calls.ask(client, key, Calls.small, words, headers: headers)
                #expect(reply.status == 403, "\(reply.text)")
                return reply["error"]?["message"]?.string ?? ""
            }
            #expect(try await refusal("one").contains("limits.max_tokens_per_session is 40 tokens: the layer default"))
            try await Calls.set(client, "writer", "limits.max_tokens_per_session", 30)
            #expect(try await refusal("one").contains("is 30 tokens: the layer environment"))
            try await Calls.set(client, "writer", "limits.max_tokens_per_session", 20, user: "ann")
            try await Calls.set(client, "writer", "limits.max_tokens_per_session", 9_000, user: "bob")
            #expect(try await refusal("one", user: "ann").contains("is 20 tokens: the layer user"))
            #expect(try await refusal("one", user: "bob").contains("is 30 tokens"))
            #expect(try await Self.ask(client, key, session: "one", words: "hi").status == 200)
        }
    }

    @Test("a restart does not forget what a session used", arguments: TestEngine.available)
    func restarts(_ engine: TestEngine) async throws {
        try await TestStorage.withFolder { folder in
            try await TestStorage.withLocation(engine) { location in
                let settings = Self.settings(folder, location)
                let used = try await runApp(settings, .test()) { client in
                    let key = try await client.key(.agent, agent: "writer")
                    try await Calls.flag(client, "short", Calls.limit(Self.key, 60))
                    return Self.total(try await Self.ask(client, key, session: "one", words: "hello there"))
                }
                #expect(used > 0)
                try await runApp(settings, .test(seed: 2)) { client in
                    let key = try await client.key(.agent, agent: "writer")
                    let long = String(repeating: "word ", count: 100)
                    let refused = try await Self.ask(client, key, session: "one", words: long)
                    #expect(refused.status == 403)
                    #expect(refused.text.contains("has used \(used),"), "\(used) \(refused.text)")
                    let short = try await Self.ask(client, key, session: "one", ["max_tokens": 2], words: "a")
                    #expect(short.status == 200)
                }
            }
        }
    }

    private static func settings(_ folder: String, _ location: StorageLocation) -> Settings {
        var settings = Settings()
        settings.http.port = 0
        settings.storage.dataDirectory = folder + "/data"
        if case .postgres(let url) = location { settings.storage.databaseURL = url }
        settings.catalogue.document = [
            "providers": ["main": ["kind": "scripted"]],
            "models": [
                "small-2026-01-01": [
                    "targets": [["provider": "main", "model": "scripted-2026-01-01"]],
                    "price": ["input": 1, "output": 2],
                ]
            ],
        ]
        return settings
    }
}
