import Kernel
import Server
import TestSupport
import Testing

@testable import Control

@Suite("What holds for callers, in memory")
struct CallerBookTests {
    @Test("another replica follows what this one changed", arguments: TestEngine.available)
    func replicas(_ engine: TestEngine) async throws {
        try await FlagEnforcementTests.run(engine) { client in
            let features = client.app.features
            let events = Events(world: client.world)
            let flags = FlagService(
                storage: features.storage, events: events, audit: features.audit, world: client.world)
            try await flags.book.open()
            let book = CallerBook(
                values: features.configValues, flags: flags, events: events, storage: features.storage,
                world: client.world)
            try await book.look()
            let subject = ConfigSubject(agent: "writer")
            let question = CallerRules.Question(model: "main", isModel: false)
            #expect(book.known(subject, question) == nil)
            #expect(await book.find(subject, question).model == nil)
            #expect(book.known(subject, question) != nil)
            try await FlagEnforcementTests.push(client, "writer", "models: {main: \(FlagEnforcementTests.small)}")
            // Not heard of yet.
            #expect(book.known(subject, question)?.model == nil)
            events.bus.learn(head: try await client.lastSeq())
            try await book.look()
            #expect(book.known(subject, question) == nil)
            #expect(await book.find(subject, question).model?.winner.value.string == FlagEnforcementTests.small)
            try await FlagEnforcementTests.flag(client, "route", FlagEnforcementTests.route("b"))
            try await flags.book.refresh()
            #expect(book.known(subject, question)?.model?.winner.value.string == FlagEnforcementTests.spare)
        }
    }

    @Test("a tool goes by the name that models see, with its dots; a bundle that says otherwise is refused")
    func toolNames() async throws {
        try await FlagEnforcementTests.run { client in
            func push(_ name: String) async throws -> AppReply {
                let files: JSONValue = [
                    [
                        "path": "agent.yaml",
                        "content": .string(
                            "models: {main: \(FlagEnforcementTests.small)}\ntools: {\(name): tools/web.yaml}"),
                    ], ["path": "tools/web.yaml", "content": "{name: search.web, inputSchema: {type: object}}"],
                ]
                return try await client.post(
                    "/api/v1/agents/writer/bundles", ["files": files, "message": "m"], key: client.key(.operator_))
            }
            let refused = try await push("web")
            #expect(refused.status == 422 && refused.text.contains("tool-name"), "\(refused.text)")
            #expect(try await push("search.web").status == 201)
            try await FlagEnforcementTests.set(client, "writer", "tools.search.web", false)
            let key = try await client.key(.agent, agent: "writer")
            let more: JSONValue = ["tools": [FlagEnforcementTests.tool("search.web")], "tool_choice": "required"]
            let asked = try await FlagEnforcementTests.ask(client, key, FlagEnforcementTests.small, "hello", more)
            #expect(asked.status == 403 && asked["error"]?["code"] == "tool_not_permitted", "\(asked.text)")
        }
    }

    @Test("a call asks memory alone, and that takes no time")
    func fast() async throws {
        try await FlagEnforcementTests.run { client in
            try await FlagEnforcementTests.push(client, "writer", "models: {main: \(FlagEnforcementTests.small)}")
            try await FlagEnforcementTests.flag(client, "route", FlagEnforcementTests.route("b"))
            try await FlagEnforcementTests.flag(client, "no-shell", FlagEnforcementTests.toggle("tools.shell"))
            for number in 0..<50 {
                try await FlagEnforcementTests.flag(
                    client, "other-\(number)",
                    FlagEnforcementTests.toggle("parameters.p\(number)", ["rules": [["split": ["on": 10, "off": 90]]]])
                )
            }
            let book = client.app.features.callers
            let subject = ConfigSubject(agent: "writer", user: "ann")
            let question = CallerRules.Question(model: FlagEnforcementTests.small, isModel: true)
            _ = await book.find(subject, question)
            let begun = ContinuousClock.now
            for _ in 0..<2_000 { #expect(book.known(subject, question)?.deniedTools.count == 1) }
            // Generous: it is against a question to the store, or a copy of all flags.
            #expect(ContinuousClock.now - begun < .seconds(4))
        }
    }
}
