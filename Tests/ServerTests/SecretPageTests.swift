import Kernel
import TestSupport
import Testing

@testable import Control

/// Secrets, as an operator meets them: all that is known of them but what they are.
@Suite("Secrets: the pages")
struct SecretPageTests {
    private static let value = "correct-horse-battery-staple"
    private static let api = "/api/v1/secrets/project/marketing/openai"
    private static let page = "/secrets/project/marketing/openai"

    private static func put(_ path: String, on fixture: PageFixture) async throws {
        let reply = try await fixture.call(
            .put, "/api/v1/secrets/\(PagePath.encoded(path))", ["value": .string(value)])
        #expect(reply.status == 200)
    }

    private static func grant(_ agent: String, _ method: APIRequest.Method, on fixture: PageFixture) async throws {
        let reply = try await fixture.call(method, "\(api)/grants/\(agent)")
        #expect(reply.status == 200)
    }

    @Test("A row for each secret, by scope, by owner and page by page")
    func rows() async throws {
        try await PageFixture.with { fixture in
            #expect(try await fixture.page("/secrets").contains("No secrets yet"))
            for path in ["project/marketing/openai", "project/sales/openai", "org/github", "user/ann/openai"] {
                try await Self.put(path, on: fixture)
            }
            try await Self.grant("writer", .put, on: fixture)
            let html = try await fixture.page("/secrets")
            #expect(html.contains("data-secret-path=\"project/marketing/openai\" data-state=\"valid\""))
            #expect(html.contains("href=\"/secrets/org/github\"") && html.contains("1 holder"))
            #expect(html.contains("in 90d 0h") && html.contains("data-topics=\"secret\""))
            #expect(html.contains("type=\"password\" name=\"value\" required autocomplete=\"off\""))
            #expect(html.contains("method=\"post\""), "without its script the form still leaves no address behind")
            #expect(!html.contains(Self.value))
            let projects = try await fixture.page("/secrets?scope=project&owner=sales")
            #expect(projects.contains("project/sales/openai") && !projects.contains("data-secret-path=\"org/github\""))
            #expect(!projects.contains("data-secret-path=\"project/marketing/openai\""))
            #expect(try await fixture.page("/secrets?owner=nobody").contains("No secret is like that"))
            _ = try await fixture.page("/secrets?scope=team", status: 422)
            let first = try await fixture.page("/secrets?limit=1&scope=project")
            #expect(first.contains("href=\"/secrets?scope=project&amp;after=project%2Fmarketing%2Fopenai\""))
        }
    }

    @Test("Versions, grants, holders and acts, and never the value")
    func detail() async throws {
        try await PageFixture.with { fixture in
            for _ in 0..<3 { try await Self.put("project/marketing/openai", on: fixture) }
            try await Self.grant("writer", .put, on: fixture)
            try await Self.grant("editor", .put, on: fixture)
            try await Self.grant("editor", .put, on: fixture)
            let reader = PageFixture.agent("writer")
            #expect(try await fixture.call(.get, "\(Self.api)/value?version=2", as: reader).status == 200)
            let vault = "/v1/secret"
            for (verb, version) in [("destroy", 1), ("delete", 2)] as [(String, JSONValue)] {
                let path = "\(vault)/\(verb)/\(PagePath.encoded("project/marketing/openai"))"
                #expect(try await fixture.call(.post, path, ["versions": [version]]).status == 204)
            }
            let html = try await fixture.page(Self.page)
            for (number, state) in [(1, "failed"), (2, "paused"), (3, "valid")] {
                #expect(html.contains("data-version=\"\(number)\" data-state=\"\(state)\""), "\(number)")
            }
            #expect(html.contains("data-post=\"/v1/secret/destroy/project/marketing/openai\""))
            #expect(html.contains("data-body=\"{&quot;versions&quot;:[3]}\""))
            #expect(
                html.contains("data-action=\"undelete-version\"") && html.contains("data-confirm=\"Destroy version 3?"))
            #expect(html.contains("data-grant=\"editor\"") && html.contains("data-grant=\"writer\""))
            #expect(html.contains("data-delete=\"\(Self.api)/grants/writer\""))
            #expect(html.contains("data-holder=\"agent:writer\"") && html.contains("<span class=\"tag\">older</span>"))
            #expect(html.contains("secret.read") && html.contains("secret.granted") && html.contains("agent:writer"))
            #expect(html.contains("id=\"secret-rotation\"") && html.contains("data-forget"))
            #expect(!html.contains(Self.value))
            try await Self.grant("writer", .delete, on: fixture)
            let revoked = try await fixture.page(Self.page)
            #expect(!revoked.contains("data-grant=\"writer\"") && revoked.contains("data-grant=\"editor\""))
            _ = try await fixture.page("/secrets/org/none", status: 404)
            _ = try await fixture.page("/secrets/team/none", status: 422)
        }
    }

    @Test("Whoever may not operate sees neither the pages nor the way there")
    func others() async throws {
        try await PageFixture.with { fixture in
            let routes = fixture.routes.filter { $0.path.hasPrefix("/secrets") }
            #expect(routes.count == 3)
            let others = routes.filter { route in
                [Role.viewer, .agent, .ingest].contains { route.permission.admits($0) }
            }
            #expect(others.isEmpty)
            let (theirs, ours) = (try await fixture.page("/", as: PageFixture.viewer), try await fixture.page("/"))
            #expect(!theirs.contains("href=\"/secrets\"") && ours.contains("href=\"/secrets\""))
        }
    }

    @Test("One grant more or less leaves the others, up to the bound")
    func grants() async throws {
        try await PageFixture.with { fixture in
            try await Self.put("project/marketing/openai", on: fixture)
            let many = (1...KeptSecret.grantsMax).map { "a\($0)" }
            let body: JSONValue = ["agents": .list(many)]
            #expect(try await fixture.call(.put, "\(Self.api)/grants", body).status == 200)
            try await Self.grant("a1", .put, on: fixture)
            await #expect(throws: Problem.self) { try await Self.grant("one-more", .put, on: fixture) }
            try await Self.grant("a2", .delete, on: fixture)
            try await Self.grant("one-more", .put, on: fixture)
            let html = try await fixture.page(Self.page)
            #expect(html.contains("The first 100 are shown"))
            await #expect(throws: Problem.self) {
                _ = try await fixture.call(.put, "/api/v1/secrets/org/none/grants/writer")
            }
        }
    }
}
