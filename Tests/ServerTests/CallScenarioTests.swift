import Foundation
import Kernel
import Server
import TestSupport
import Testing

@testable import Control

@Suite("Calls and costs over HTTP")
struct CallScenarioTests {
    static let rows: [APIScenario] = [
        APIScenario("no calls yet", .get, "/api/v1/calls", as: .viewer, expect: 200, contains: [#""items":[]"#]),
        APIScenario("no costs yet", .get, "/api/v1/costs", as: .viewer, expect: 200, contains: [#""by":"agent""#]),
        APIScenario("nobody without a key", .get, "/api/v1/calls", as: nil, expect: 401, "unauthenticated"),
        APIScenario("no costs without a key", .get, "/api/v1/costs", as: nil, expect: 401, "unauthenticated"),
        APIScenario("an ingest key reads no calls", .get, "/api/v1/calls", as: .ingest, expect: 403, "forbidden"),
        APIScenario("an ingest key reads no costs", .get, "/api/v1/costs", as: .ingest, expect: 403, "forbidden"),
        APIScenario(
            "an agent asks for another's calls", .get, "/api/v1/calls?agent=other", as: .agent, expect: 403,
            "forbidden"),
        APIScenario(
            "an agent asks for another's costs", .get, "/api/v1/costs?agent=other", as: .agent, expect: 403,
            "forbidden"),
        APIScenario("an agent asks for its own", .get, "/api/v1/calls?agent=agent", as: .agent, expect: 200),
        APIScenario("a call that is not there", .get, "/api/v1/calls/call_1", as: .viewer, expect: 404, "not_found"),
        APIScenario(
            "an explanation that is not there", .get, "/api/v1/calls/call_0123456789abcdef0123456789abcdef/explain",
            as: .viewer, expect: 404, "not_found"),
        APIScenario(
            "a status that there is not", .get, "/api/v1/calls?status=lost", as: .viewer, expect: 422, "invalid"),
        APIScenario("a time that is none", .get, "/api/v1/calls?since=yesterday", as: .viewer, expect: 422, "invalid"),
        APIScenario("a cursor that is none", .get, "/api/v1/calls?after=x'--", as: .viewer, expect: 422, "invalid"),
        APIScenario("a limit that is none", .get, "/api/v1/calls?limit=-1", as: .viewer, expect: 422, "invalid"),
        APIScenario(
            "an SQL injection is a name", .get, "/api/v1/calls?agent=%27%20OR%201%3D1--&tag=%22%3B%20DROP", as: .viewer,
            expect: 200, contains: [#""items":[]"#]),
        APIScenario(
            "a long filter", .get, "/api/v1/calls?model=" + String(repeating: "x", count: 6_000), as: .viewer,
            expect: 200),
        APIScenario("NUL is refused", .get, "/api/v1/calls?agent=%00", as: .viewer, expect: 400, "bad_request"),
        APIScenario("by what there is not", .get, "/api/v1/costs?by=name;--", as: .viewer, expect: 422, "invalid"),
        APIScenario("a day that is none", .get, "/api/v1/costs?since=2026-02-30", as: .viewer, expect: 422, "invalid"),
        APIScenario(
            "days in the wrong order", .get, "/api/v1/costs?since=2026-11-20&until=2026-11-01", as: .viewer,
            expect: 422, "invalid"),
        APIScenario(
            "models by tag", .get, "/api/v1/costs?by=tag&model=small", as: .viewer, expect: 422, "invalid"),
        APIScenario(
            "a format that there is not", .get, "/api/v1/costs?format=xls", as: .viewer, expect: 422, "invalid"),
        APIScenario("a costs cursor that is none", .get, "/api/v1/costs?after=x", as: .viewer, expect: 422, "invalid"),
        APIScenario(
            "all days there are", .get, "/api/v1/costs?since=1970-01-01&until=9999-12-31", as: .viewer, expect: 200),
        APIScenario(
            "nothing is written here", .post, "/api/v1/calls", as: .admin, "{}", expect: 405, "method_not_allowed"),
    ]

    @Test("answers as the table says, and nothing else happens")
    func answers() async throws { try await APIScenario.run(Self.rows) }

    private static func call(_ client: AppClient, _ change: (inout Call) -> Void = { _ in }) -> Call {
        var call = Call(
            id: Identifier(client.world), status: .done, startedAt: client.world.now, agent: "writer",
            project: "books", tags: ["night"], door: "openai.chat", model: "small",
            attempts: [CallAttempt(target: "main/small", startedAt: client.world.now, durationMs: 7, status: 200)],
            usage: CallUsage(raw: ["prompt_tokens": 10], buckets: ["input": 10]),
            cost: CallCost(nanoUSD: 1_500, priceFrom: "2026-01-01"), durationMs: 9, ttftMs: 4)
        change(&call)
        return call
    }

    private static func record(_ calls: [Call], _ client: AppClient) async throws {
        let features = client.app.features
        try await features.storage.write { _ = try features.calls.record(calls, in: $0) }
    }

    @Test("what was recorded is shown, listed, explained and summed up", arguments: TestEngine.available)
    func shows(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let calls = (0..<3).map { _ in Self.call(client) } + [Self.call(client) { $0.agent = "=1+1" }]
            try await Self.record(calls, client)
            let key = try await client.key(.viewer)
            let shown = try await client.get("/api/v1/calls/\(calls[0].id)", key: key)
            #expect(shown["usage"]?.text == #"{"raw":{"prompt_tokens":10},"buckets":{"input":10},"estimated":false}"#)
            #expect(shown["cost"]?.text == #"{"nanoUSD":1500,"priceFrom":"2026-01-01"}"#)
            #expect(shown["attempts"]?.array?.count == 1)
            #expect(shown["task"] == JSONValue.null)
            #expect(shown["durationMs"] == 9)
            let explained = try await client.get("/api/v1/calls/\(calls[0].id)/explain", key: key)
            #expect(explained["summary"] == "Answered after 9 ms, the first words after 4 ms.")
            let first = try await client.get("/api/v1/calls?limit=3", key: key)
            #expect(first.items.count == 3)
            let next = try #require(first["next"]?.string)
            #expect(try await client.get("/api/v1/calls?limit=3&after=\(next)", key: key).items.count == 1)
            let costs = try await client.get("/api/v1/costs?by=agent", key: key)
            #expect(costs.items.map { $0["name"] } == ["writer", "=1+1"])
            #expect(costs["total"]?["nanoUSD"] == 6_000)
            for reply in [
                try await client.get("/api/v1/costs?by=agent&format=csv", key: key),
                try await client.get("/api/v1/costs?by=agent", key: key, headers: [("accept", "text/csv")]),
            ] {
                #expect(reply.header("content-type") == "text/csv; charset=utf-8; header=present")
                #expect(
                    reply.header("content-disposition")
                        == "attachment; filename=\"costs-by-agent-2026-10-22-2026-11-20.csv\"")
                let lines = reply.text.components(separatedBy: "\r\n")
                #expect(lines.count == 4 && lines[3].isEmpty)
                #expect(lines[1].hasPrefix("writer,3,3,0,0,0,30,"))
                #expect(lines[2].hasPrefix("'=1+1,1,1,"))
            }
            let json = try await client.get(
                "/api/v1/costs", key: key, headers: [("accept", "application/json, text/csv")])
            #expect(json["by"] == "agent")
            let page = try await client.get("/api/v1/costs?by=agent&format=csv&limit=1", key: key)
            let link = try #require(page.header("link"))
            #expect(link == "</api/v1/costs?by=agent&limit=1&format=csv&after=4500%3Awriter>; rel=\"next\"")
            let rest = try await client.get("/api/v1/costs?by=agent&limit=1&format=csv&after=4500%3Awriter", key: key)
            #expect(rest.text.contains("'=1+1,1,1") && rest.header("link") == nil)
        }
    }

    @Test("an agent sees its own calls and costs alone", arguments: TestEngine.available)
    func keepsApart(_ engine: TestEngine) async throws {
        try await withApp(engine) { client in
            let (own, other) = (Self.call(client), Self.call(client) { $0.agent = "reader" })
            try await Self.record([own, other], client)
            let key = try await client.key(.agent, agent: "writer")
            #expect(try await client.get("/api/v1/calls", key: key).items.map { $0["id"] } == [own.id.json])
            #expect(try await client.get("/api/v1/calls?tag=night", key: key).items.count == 1)
            #expect(try await client.get("/api/v1/calls/\(own.id)", key: key).status == 200)
            #expect(try await client.get("/api/v1/calls/\(other.id)", key: key).code == "not_found")
            #expect(try await client.get("/api/v1/calls/\(other.id)/explain", key: key).code == "not_found")
            for dimension in CostDimension.allCases where dimension != .task {
                let costs = try await client.get("/api/v1/costs?by=\(dimension.rawValue)", key: key)
                #expect(costs["total"]?["calls"] == 1, "\(dimension)")
                #expect(costs.items.map { $0["calls"] } == [1], "\(dimension)")
            }
        }
    }
}
