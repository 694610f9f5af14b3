import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

/// What holds for an agent, as an operator looks into it.
@Suite("Effective configuration: the page")
struct ConfigValuePageTests {
    private static let page = "/agents/writer/config"
    private static let api = "/api/v1/agents/writer/config/values"
    private static let manifest = """
        models: {main: gpt-4o-2024-08-06}
        parameters: {temperature: 0.2, style: "<script>alert(1)</script>", digits: "12"}
        limits: {maxTokens: 1000}
        secrets: {search: secret://org/search}
        """

    private static func push(on fixture: PageFixture) async throws {
        try await fixture.send(
            "/api/v1/agents/writer/bundles",
            ["files": [["path": "agent.yaml", "content": .string(manifest)]], "message": "first"])
    }

    private static func set(
        _ key: String, _ body: JSONValue, tag: String? = nil, on fixture: PageFixture
    ) async throws -> APIReply {
        try await fixture.call(.put, "\(api)/\(key)", body, headers: tag.map { ["if-match": $0] } ?? [:])
    }

    private static func row(_ key: String, in html: String) throws -> Substring {
        let start = try #require(html.range(of: "data-config-key=\"\(key)\""), "\(key)")
        let rest = html[start.lowerBound...]
        return rest[..<(rest.range(of: "</tr>")?.lowerBound ?? rest.endIndex)]
    }

    @Test("Every key with the value that holds, who said so, and what each layer says")
    func keys() async throws {
        try await PageFixture.with { fixture in
            try await Self.push(on: fixture)
            _ = try await Self.set(
                "parameters.temperature", ["layer": "environment", "value": .double(0.5), "reason": "dull"], on: fixture
            )
            _ = try await Self.set(
                "limits.maxTokens", ["layer": "user", "user": "ann", "value": 500], on: fixture)
            let html = try await fixture.page(Self.page)
            let temperature = try Self.row("parameters.temperature", in: html)
            #expect(temperature.contains(">0.5<") && temperature.contains("Environment"))
            #expect(temperature.contains(">0.2<") && temperature.contains("admin:ada"))
            #expect(try Self.row("limits.maxTokens", in: html).contains(">1000<"))
            #expect(try Self.row("secrets.search", in: html).contains("secret://org/search"))
            #expect(try Self.row("parameters.digits", in: html).contains("value=\"&quot;12&quot;\""))
            #expect(!html.contains("<script>alert") && html.contains("1 overridden"))
            // Nobody was named, so nobody's own layer can be set.
            #expect(html.contains("data-action=\"edit-environment\"") && !html.contains("data-action=\"edit-user\""))

            let ann = try await fixture.page("\(Self.page)?user=ann&q=MAXTOKENS")
            let limit = try Self.row("limits.maxTokens", in: ann)
            #expect(limit.contains(">500<") && limit.contains("data-action=\"edit-user\""))
            #expect(limit.contains("layer=user&amp;user=ann") && limit.contains("data-action=\"unset-user\""))
            #expect(!ann.contains("data-config-key=\"models.main\"") && ann.contains("for the user ann"))
            #expect(try await fixture.page("\(Self.page)?q=nothing").contains("No key is like that"))
            let first = try await fixture.page("\(Self.page)?limit=2&user=ann")
            #expect(first.contains("rel=\"next\"") && first.contains("user=ann&amp;after="))
            #expect(try await fixture.page("/agents/writer").contains("href=\"/agents/writer/config\""))
            #expect(try await fixture.page("/bundles/writer").contains("href=\"/agents/writer/config\""))
            _ = try await fixture.page("/agents/nobody/config", status: 404)
        }
    }

    @Test("What was read is what is changed, and the reason stays")
    func edits() async throws {
        try await PageFixture.with { fixture in
            try await Self.push(on: fixture)
            let found = try await fixture.call(.get, "\(Self.api)/limits.maxTokens")
            let tag = try #require(found.headers.first { $0.0 == "etag" }?.1)
            #expect(try await fixture.page(Self.page).contains("data-if-match=\"&quot;"))
            let body: JSONValue = ["layer": "environment", "value": 800, "reason": "a quiet week"]
            #expect(try await Self.set("limits.maxTokens", body, tag: tag, on: fixture).status == 200)
            await #expect(throws: Problem.self) {
                _ = try await Self.set("limits.maxTokens", body, tag: tag, on: fixture)
            }
            let audit = try await fixture.storage.read {
                try AuditService(world: fixture.world).latest(limit: 1, in: $0)
            }
            #expect(audit.first?.action == "bundle.value_set" && audit.first?.detail.contains("a quiet week") == true)
            await #expect(throws: Problem.self) {
                _ = try await Self.set("limits.maxTokens", ["layer": "environment", "value": "x"], on: fixture)
            }
            let gone = try await fixture.call(
                .delete, "\(Self.api)/limits.maxTokens?layer=environment", ["reason": "over"])
            #expect(gone.status == 200)
            let back = try await fixture.page(Self.page)
            #expect(try Self.row("limits.maxTokens", in: back).contains(">1000<"))
        }
    }

    @Test("A viewer looks and changes nothing; an agent sees itself alone")
    func others() async throws {
        try await PageFixture.with { fixture in
            try await Self.push(on: fixture)
            let html = try await fixture.page(Self.page, as: PageFixture.viewer)
            #expect(html.contains("models.main") && !html.contains("data-post="))
            #expect(try await fixture.page(Self.page, as: PageFixture.agent("writer")).contains("models.main"))
            _ = try await fixture.page(Self.page, as: PageFixture.agent("other"), status: 403)
        }
    }
}
