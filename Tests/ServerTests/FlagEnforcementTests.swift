import Foundation
import Kernel
import Server
import TestSupport
import Testing

@testable import Control

@Suite("What flags and layers say, enforced on model calls at once")
struct FlagEnforcementTests {
    static let small = "small-2026-01-01"
    static let spare = "spare-2026-01-01"

    /// A model that calls a tool when it is told to, whatever it was offered.
    private static let script = """
        rules:
          - {contains: say and shell, say: Let me look., calls: [{name: shell, arguments: {command: ls}}]}
          - {contains: use shell, calls: [{name: shell, arguments: {command: ls}}]}
        """

    static func run(
        _ engine: TestEngine = .sqlite, more: @escaping @Sendable (inout Settings) -> Void = { _ in },
        _ body: @escaping @Sendable (AppClient) async throws -> Void
    ) async throws {
        try await TestStorage.withFolder { folder in
            let path = "\(folder)/script.yaml"
            try script.write(toFile: path, atomically: true, encoding: .utf8)
            try await withApp(
                engine,
                configure: { settings in
                    func model(_ cache: Bool = false) -> JSONValue {
                        [
                            "targets": [["provider": "main", "model": "scripted-2026-01-01"]],
                            "price": ["input": 1, "output": 2], "cache": .bool(cache),
                        ]
                    }
                    settings.catalogue.document = [
                        "providers": ["main": ["kind": "scripted", "script": .string(path)]],
                        "models": [
                            "small-2026-01-01": model(), "spare-2026-01-01": model(), "kept": model(true),
                            "roomy": [
                                "targets": [["provider": "main", "model": "scripted-2026-01-01"]],
                                "price": ["input": 1, "output": 2], "outputTokensMax": 100_000,
                            ],
                        ],
                    ]
                    more(&settings)
                }, body)
        }
    }

    static func flag(_ client: AppClient, _ key: String, _ json: JSONValue) async throws {
        let reply = try await client.send(
            "PUT", "/api/v1/flags/\(key)", key: client.key(.operator_), body: json.bytes)
        #expect(reply.status == 200, "\(reply.text)")
    }

    static func toggle(_ configKey: String, _ more: JSONValue = [:]) -> JSONValue {
        var object = JSONObject()
        object["type"] = "boolean"
        object["variants"] = ["on": true, "off": false]
        object["defaultVariant"] = "off"
        object["configKey"] = .string(configKey)
        for member in more.object?.members ?? [] { object[member.name] = member.value }
        return .object(object)
    }

    static func route(_ chosen: String, _ more: JSONValue = [:]) -> JSONValue {
        var object = JSONObject()
        object["type"] = "string"
        object["variants"] = ["a": .string(small), "b": .string(spare)]
        object["defaultVariant"] = .string(chosen)
        object["configKey"] = "models.main"
        for member in more.object?.members ?? [] { object[member.name] = member.value }
        return .object(object)
    }

    static func limit(_ key: String, _ tokens: Int64) -> JSONValue {
        ["type": "number", "variants": ["low": .int(tokens)], "defaultVariant": "low", "configKey": .string(key)]
    }

    static func push(
        _ client: AppClient, _ agent: String, _ manifest: String, _ more: JSONValue...
    ) async throws {
        let files: JSONValue = .array([["path": "agent.yaml", "content": .string(manifest)]] + more)
        let reply = try await client.post(
            "/api/v1/agents/\(agent)/bundles", ["files": files, "message": "m"], key: client.key(.operator_))
        #expect(reply.status == 201, "\(reply.text)")
    }

    static func set(
        _ client: AppClient, _ agent: String, _ key: String, _ value: JSONValue, user: String? = nil
    ) async throws {
        let body: JSONValue = [
            "layer": .string(user == nil ? "environment" : "user"), "value": value, "user": .of(user),
        ]
        let reply = try await client.send(
            "PUT", "/api/v1/agents/\(agent)/config/values/\(key)", key: client.key(.operator_), body: body.bytes)
        #expect(reply.status == 200, "\(reply.text)")
    }

    static func ask(
        _ client: AppClient, _ key: String, _ model: String, _ words: String = "hello", _ more: JSONValue = [:],
        headers: [(String, String)] = []
    ) async throws -> AppReply {
        var body = JSONObject()
        body["model"] = .string(model)
        body["messages"] = [["role": "user", "content": .string(words)]]
        for member in more.object?.members ?? [] { body[member.name] = member.value }
        return try await client.post("/v1/chat/completions", .object(body), key: key, headers: headers)
    }

    /// The model that a call is on record with.
    private static func model(_ client: AppClient, _ reply: AppReply) async throws -> String? {
        #expect(reply.status == 200, "\(reply.text)")
        return try await record(client, reply)["model"]?.string
    }

    static func record(_ client: AppClient, _ reply: AppReply) async throws -> JSONValue {
        let id = try #require(reply.header("x-reeve-call"))
        return try await client.get("/api/v1/calls/\(id)", key: client.key(.viewer)).json
    }

    // MARK: Models

    @Test("a flag routes the calls of a role from the next call on, and says so", arguments: TestEngine.available)
    func routes(_ engine: TestEngine) async throws {
        try await Self.run(engine) { client in
            try await Self.push(client, "writer", "models: {main: \(Self.small)}")
            let key = try await client.key(.agent, agent: "writer")
            let plain = try await Self.ask(client, key, Self.small)
            #expect(try await Self.model(client, plain) == Self.small)
            #expect(plain.header("x-reeve-config") == nil)
            // A role's name stands for its model.
            #expect(try await Self.model(client, Self.ask(client, key, "main")) == Self.small)
            #expect(try await Self.ask(client, key, "other").status == 404)

            try await Self.flag(client, "route", Self.route("b"))
            let routed = try await Self.ask(client, key, Self.small)
            #expect(try await Self.model(client, routed) == Self.spare)
            #expect(routed.header("x-reeve-config") == "models.main; layer=flag; flag=route; variant=b")
            let record = try await Self.record(client, routed)
            #expect(record["asked"]?.string == Self.small)
            #expect(record["config"]?.array?.first?["variant"] == "b")
            #expect(record["config"]?.array?.first?["effect"] == "routed")
            #expect(try await Self.model(client, Self.ask(client, key, "main")) == Self.spare)
            // Another model of the gateway is nobody's role.
            #expect(try await Self.model(client, Self.ask(client, key, "kept")) == "kept")

            _ = try await client.post("/api/v1/flags/route/off", [:], key: client.key(.operator_))
            #expect(try await Self.model(client, Self.ask(client, key, Self.small)) == Self.small)
            let metrics = try await client.get("/metrics", key: key).text
            #expect(
                metrics.contains("reeve_flag_evaluations_total{flag=\"route\",variant=\"b\",reason=\"STATIC\"} 2"))
        }
    }

    @Test("each layer overrides those before it, and a user's own is the user's alone")
    func layers() async throws {
        try await Self.run { client in
            try await Self.push(client, "writer", "models: {main: \(Self.small)}")
            let key = try await client.key(.agent, agent: "writer")
            try await Self.set(client, "writer", "models.main", .string(Self.spare))
            let set = try await Self.ask(client, key, Self.small)
            #expect(try await Self.model(client, set) == Self.spare)
            #expect(set.header("x-reeve-config") == "models.main; layer=environment")
            try await Self.flag(client, "route", Self.route("a"))
            #expect(try await Self.model(client, Self.ask(client, key, Self.spare)) == Self.small)
            try await Self.set(client, "writer", "models.main", .string(Self.spare), user: "ann")
            let ann = [("x-reeve-user", "ann")]
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: ann)) == Self.spare)
            let bob = [("x-reeve-user", "bob")]
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: bob)) == Self.small)
            // What rules may ask about.
            let rules: JSONValue = [
                "rules": [
                    ["id": "vip", "when": ["user": "bob", "agent": "writer", "project": "default"], "variant": "b"]
                ]
            ]
            try await Self.flag(client, "route", Self.route("a", rules))
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: bob)) == Self.spare)
            #expect(try await Self.model(client, Self.ask(client, key, "main")) == Self.small)
        }
    }

    @Test("an agent without a bundle: the flag chooses among its own models; a slip in it stops nobody")
    func withoutBundle() async throws {
        try await Self.run { client in
            let key = try await client.key(.agent, agent: "stranger")
            try await Self.flag(client, "route", Self.route("b"))
            #expect(try await Self.model(client, Self.ask(client, key, Self.small)) == Self.spare)
            #expect(try await Self.model(client, Self.ask(client, key, "main")) == Self.spare)
            // A key of no agent as well.
            #expect(try await Self.model(client, Self.ask(client, client.key(.operator_), Self.small)) == Self.spare)
            try await Self.flag(
                client, "route",
                [
                    "type": "string", "variants": ["a": .string(Self.small), "x": "no-such"], "defaultVariant": "x",
                    "configKey": "models.main",
                ])
            let kept = try await Self.ask(client, key, Self.small)
            #expect(try await Self.model(client, kept) == Self.small)
            #expect(try await Self.record(client, kept)["config"]?.array?.first?["effect"] == "unknown_model")
            let lost = try await Self.ask(client, key, "main")
            #expect(lost.status == 404 && lost.text.contains("no-such") && lost.text.contains("route"))
        }
    }

    @Test("a session keeps what a pinned flag served it, and follows a live one", arguments: TestEngine.available)
    func pins(_ engine: TestEngine) async throws {
        try await Self.run(engine) { client in
            let key = try await client.key(.agent, agent: "writer")
            try await Self.flag(client, "route", Self.route("a", ["mode": "pinned"]))
            let one = [("x-reeve-session", "one")]
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: one)) == Self.small)
            try await Self.flag(client, "route", Self.route("b", ["mode": "pinned"]))
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: one)) == Self.small)
            let two = [("x-reeve-session", "two")]
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: two)) == Self.spare)
            #expect(try await Self.model(client, Self.ask(client, key, "main")) == Self.spare)
            // OFREP has the same pins.
            let asked = try await client.post(
                "/ofrep/v1/evaluate/flags/route", ["context": ["sessionId": "one"]], key: key)
            #expect(asked["variant"] == "a" && asked["metadata"]?["pinned"] == true)
            try await Self.flag(client, "route", Self.route("b"))
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: one)) == Self.spare)
        }
    }

    @Test("explain tells what a session is pinned to, and pins nothing", arguments: TestEngine.available)
    func explainsPins(_ engine: TestEngine) async throws {
        try await Self.run(engine) { client in
            try await Self.push(client, "writer", "models: {main: \(Self.small)}")
            let key = try await client.key(.agent, agent: "writer")
            let path = "/api/v1/agents/writer/config/values"
            func explain(_ query: String) async throws -> AppReply {
                try await client.get("\(path)/models.main\(query)", key: client.key(.viewer))
            }
            try await Self.flag(client, "route", Self.route("a", ["mode": "pinned"]))
            #expect(try await explain("?session=one")["pinned"] == false)
            let one = [("x-reeve-session", "one")]
            #expect(try await Self.model(client, Self.ask(client, key, "main", headers: one)) == Self.small)
            try await Self.flag(client, "route", Self.route("b", ["mode": "pinned"]))
            let pinned = try await explain("?session=one")
            #expect(pinned["value"]?.string == Self.small && pinned["variant"] == "a" && pinned["pinned"] == true)
            #expect(pinned["flag"] == "route" && pinned.header("etag") == nil)
            #expect(pinned["layers"]?.array?.last?["pinned"] == true)
            let listed = try await client.get("\(path)?session=one&limit=100", key: client.key(.viewer))
            let main = listed["items"]?.array?.first { $0["key"] == "models.main" }
            #expect(main?["variant"] == "a" && main?["pinned"] == true)
            // A session that has not begun gets what there is now, and was given nothing by the question.
            for query in ["?session=two", "?session=two&user=ann", ""] {
                let now = try await explain(query)
                #expect(now["variant"] == "b" && now["pinned"] == false, "\(query)")
            }
            try await Self.flag(client, "route", Self.route("a", ["mode": "pinned"]))
            #expect(try await explain("?session=two")["variant"] == "a")
            // A live flag holds nobody to anything.
            try await Self.flag(client, "route", Self.route("b"))
            #expect(try await explain("?session=one")["variant"] == "b")
            #expect(try await explain("?session=one")["pinned"] == false)
            #expect(try await explain("?session=").status == 422)
            #expect(try await explain("?session=\(String(repeating: "s", count: 201))").status == 422)
        }
    }

    // MARK: Tools

    static func tool(_ name: String) -> JSONValue {
        ["type": "function", "function": ["name": .string(name), "parameters": ["type": "object"]]]
    }

    @Test("a tool that is switched off is taken out, and a call of it goes nowhere")
    func tools() async throws {
        try await Self.run { client in
            let key = try await client.key(.agent, agent: "writer")
            let both: JSONValue = ["tools": [Self.tool("shell"), Self.tool("search")]]
            let demanded: JSONValue = ["tools": [Self.tool("shell"), Self.tool("search")], "tool_choice": "required"]
            let before = try await Self.ask(client, key, Self.small, "use shell", both)
            #expect(before.status == 200 && before.text.contains("tool_calls"))

            try await Self.flag(client, "no-shell", Self.toggle("tools.shell"))
            let cut = try await Self.ask(client, key, Self.small, "hello", demanded)
            #expect(cut.status == 200, "\(cut.text)")
            #expect(cut.text.contains("\"search\"") && !cut.text.contains("shell"))
            #expect(cut.header("x-reeve-config") == "tools.shell; layer=flag; flag=no-shell; variant=off")
            #expect(try await Self.record(client, cut)["config"]?.array?.first?["effect"] == "removed")

            // What the model makes up is not passed on.
            let barred = try await Self.ask(client, key, Self.small, "use shell", both)
            #expect(barred.status == 403 && barred["error"]?["code"] == "tool_not_permitted", "\(barred.text)")
            #expect(!barred.text.contains("\"tool_calls\""))
            let record = try await Self.record(client, barred)
            #expect(record["status"] == "failed" && record["failure"] == "tool_not_permitted")
            // It was asked and answered, so it costs.
            #expect((record["cost"]?["nanoUSD"]?.int ?? 0) > 0)
            let stream: JSONValue = ["tools": [Self.tool("search")], "stream": true]
            let broken = try await Self.ask(client, key, Self.small, "say and shell", stream)
            #expect(broken.status == 200 && broken.text.contains("look"))
            #expect(broken.text.contains("tool_not_permitted") && !broken.text.contains("\"tool_calls\""))
            #expect(!broken.text.contains("[DONE]"))
            let first = try await Self.ask(client, key, Self.small, "use shell", stream)
            #expect(!first.text.contains("\"tool_calls\""))
            #expect(first.text.contains("tool_not_permitted"))

            // What cannot be done without it is refused, and nothing is sent.
            for choice: JSONValue in [
                ["type": "function", "function": ["name": "shell"]],
                ["type": "allowed_tools", "allowed_tools": ["mode": "auto", "tools": [Self.tool("shell")]]],
            ] {
                let refused = try await Self.ask(
                    client, key, Self.small, "hello",
                    ["tools": [Self.tool("shell"), Self.tool("search")], "tool_choice": choice])
                #expect(refused.status == 403 && refused.text.contains("no-shell"), "\(refused.text)")
                #expect(try await Self.record(client, refused)["attempts"]?.array?.isEmpty == true)
            }
            let alone = try await Self.ask(
                client, key, Self.small, "hello", ["tools": [Self.tool("shell")], "tool_choice": "required"])
            #expect(alone.status == 403)
            let optional = try await Self.ask(
                client, key, Self.small, "hello", ["tools": [Self.tool("shell")], "parallel_tool_calls": true])
            #expect(optional.status == 200 && optional.text.contains("You said"))

            _ = try await client.post("/api/v1/flags/no-shell/off", [:], key: client.key(.operator_))
            #expect(try await Self.ask(client, key, Self.small, "use shell", both).status == 200)
        }
    }

    @Test("the same in Anthropic's dialect and in Responses, and for what the cache kept")
    func toolsElsewhere() async throws {
        try await Self.run { client in
            let key = try await client.key(.agent, agent: "writer")
            func messages(_ words: String, stream: Bool) async throws -> AppReply {
                try await client.post(
                    "/v1/messages",
                    [
                        "model": .string(Self.small), "max_tokens": 100, "stream": .bool(stream),
                        "messages": [["role": "user", "content": .string(words)]],
                        "tools": [
                            ["name": "shell", "input_schema": ["type": "object"]],
                            ["name": "search", "input_schema": ["type": "object"]],
                        ],
                    ], key: key)
            }
            func responses(stream: Bool) async throws -> AppReply {
                try await client.post(
                    "/v1/responses",
                    ["model": .string(Self.small), "input": "use shell", "stream": .bool(stream)], key: key)
            }
            let keep: JSONValue = ["tools": [Self.tool("search")]]
            #expect(try await Self.ask(client, key, "kept", "use shell", keep).text.contains("tool_calls"))
            #expect(try await messages("use shell", stream: false).text.contains("tool_use"))
            try await Self.flag(client, "no-shell", Self.toggle("tools.shell"))

            let kept = try await Self.ask(client, key, "kept", "use shell", keep)
            #expect(kept.status == 403 && kept.header("x-reeve-cache") == "hit")
            let barred = try await messages("use shell", stream: false)
            #expect(barred.status == 403 && barred["error"]?["type"] == "permission_error", "\(barred.text)")
            let broken = try await messages("say and shell", stream: true)
            #expect(broken.text.contains("permission_error") && !broken.text.contains("tool_use\""))
            #expect(broken.text.contains("look"))
            let fine = try await messages("hello", stream: false)
            #expect(fine.status == 200 && fine.header("x-reeve-config")?.hasPrefix("tools.shell") == true)
            for stream in [false, true] {
                let reply = try await responses(stream: stream)
                #expect(reply.text.contains("tool_not_permitted") && !reply.text.contains("\"function_call\""))
            }
        }
    }

    @Test("an operator takes a tool from one agent, or from one of its users, without a flag")
    func toolsByLayer() async throws {
        try await Self.run { client in
            try await Self.push(
                client, "writer", "models: {main: \(Self.small)}\ntools: [tools/shell.yaml]",
                ["path": "tools/shell.yaml", "content": "{name: shell, inputSchema: {type: object}}"])
            let key = try await client.key(.agent, agent: "writer")
            let more: JSONValue = ["tools": [Self.tool("shell")], "tool_choice": "required"]
            func status(_ user: String?) async throws -> Int {
                try await Self.ask(
                    client, key, "main", "hello", more, headers: user.map { [("x-reeve-user", $0)] } ?? []
                ).status
            }
            #expect(try await status(nil) == 200)
            try await Self.set(client, "writer", "tools.shell", false, user: "ann")
            #expect(try await status("ann") == 403)
            #expect(try await status("bob") == 200)
            try await Self.set(client, "writer", "tools.shell", false)
            #expect(try await status("bob") == 403)
            try await Self.flag(client, "shell", Self.toggle("tools.shell", ["defaultVariant": "on"]))
            #expect(try await status("bob") == 200)
            #expect(try await status("ann") == 403)
        }
    }

    // MARK: Tokens

    @Test("a limit caps what a call asks for, and refuses what is too long", arguments: TestEngine.available)
    func limits(_ engine: TestEngine) async throws {
        try await Self.run(engine) { client in
            let key = try await client.key(.agent, agent: "writer")
            let words = "one two three four five six seven eight nine"
            try await Self.flag(client, "short", Self.limit("limits.maxTokens", 3))
            for more: JSONValue in [[:], ["max_tokens": 500], ["max_completion_tokens": 500, "max_tokens": 600]] {
                let reply = try await Self.ask(client, key, Self.small, words, more)
                #expect(reply.json["usage"]?["completion_tokens"] == 3, "\(reply.text)")
                #expect(reply.json["choices"]?.array?.first?["finish_reason"] == "length")
                #expect(reply.header("x-reeve-config") == "limits.maxTokens; layer=flag; flag=short; variant=low")
            }
            let less = try await Self.ask(client, key, Self.small, words, ["max_tokens": 2])
            #expect(less.json["usage"]?["completion_tokens"] == 2 && less.header("x-reeve-config") == nil)
            let large = try await Self.ask(client, key, "roomy", words)
            #expect(large.json["usage"]?["completion_tokens"] == 3)
            let message = try await client.post(
                "/v1/messages",
                [
                    "model": .string(Self.small), "max_tokens": 900,
                    "messages": [["role": "user", "content": .string(words)]],
                ], key: key)
            #expect(message["usage"]?["output_tokens"] == 3)

            try await Self.flag(client, "short", Self.limit("limits.inputTokens", 40))
            #expect(try await Self.ask(client, key, Self.small, words).status == 200)
            let long = try await Self.ask(client, key, Self.small, String(repeating: "word ", count: 200))
            #expect(long.status == 400 && long["error"]?["code"] == "context_length_exceeded", "\(long.text)")
            #expect(long.text.contains("limits.inputTokens") && long.text.contains("short"))
            #expect(try await Self.record(client, long)["attempts"]?.array?.isEmpty == true)

            try await Self.flag(client, "short", Self.limit("limits.maxTokensPerCall", 25))
            let rest = try await Self.ask(client, key, Self.small, words, ["max_tokens": 500])
            #expect((rest.json["usage"]?["completion_tokens"]?.int ?? 99) < 12, "\(rest.text)")
            try await Self.flag(client, "short", Self.limit("limits.maxTokens", 0))
            #expect(try await Self.ask(client, key, Self.small, words).status == 403)
        }
    }

    @Test("a user's own limit only lowers it")
    func userLimits() async throws {
        try await Self.run { client in
            try await Self.push(client, "writer", "models: {main: \(Self.small)}\nlimits: {max_tokens: 5}")
            let key = try await client.key(.agent, agent: "writer")
            let words = "one two three four five six seven eight nine"
            func tokens(_ user: String?) async throws -> JSONValue? {
                try await Self.ask(client, key, "main", words, headers: user.map { [("x-reeve-user", $0)] } ?? [])
                    .json["usage"]?["completion_tokens"]
            }
            #expect(try await tokens(nil) == 5)
            try await Self.set(client, "writer", "limits.max_tokens", 2, user: "ann")
            try await Self.set(client, "writer", "limits.max_tokens", 900, user: "bob")
            #expect(try await tokens("ann") == 2)
            #expect(try await tokens("bob") == 5)
            try await Self.flag(client, "short", Self.limit("limits.maxTokens", 4))
            #expect(try await tokens("bob") == 4)
            #expect(try await tokens("ann") == 2)
        }
    }

    // MARK: Memory

    @Test("memory is written only where it may be, and agents see it", arguments: TestEngine.available)
    func memory(_ engine: TestEngine) async throws {
        try await Self.run(engine) { client in
            try await Self.push(client, "writer", "models: {main: \(Self.small)}")
            let callers = client.app.features.callers
            func isAllowed(_ user: String? = nil) async -> Bool {
                await callers.permission(agent: "writer", user: user, session: nil).isAllowed
            }
            #expect(await isAllowed())
            try await Self.flag(client, "memory", Self.toggle("memory.write"))
            #expect(await !isAllowed())
            let words = await callers.permission(agent: "writer", user: nil, session: nil).words
            #expect(words.contains("memory.write") && words.contains("\"memory\""))
            let path = "/api/v1/agents/writer/config/values/memory.write"
            let shown = try await client.get(path, key: client.key(.agent, agent: "writer"))
            #expect(shown["value"] == false && shown["flag"] == "memory" && shown["variant"] == "off")
            #expect(try await client.get(path, key: client.key(.agent, agent: "other")).status == 403)
            try await Self.set(client, "writer", "memory.write", true, user: "ann")
            #expect(await isAllowed("ann"))
            #expect(await !isAllowed("bob"))
            _ = try await client.post("/api/v1/flags/memory/off", [:], key: client.key(.operator_))
            #expect(await isAllowed())
        }
    }
}
