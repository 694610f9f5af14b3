import Control
import Kernel
import Testing

@testable import Server

@Suite("Assets")
struct AssetTests {
    private func get(
        _ name: String, query: [(name: String, value: String)] = [], etag: String? = nil
    ) async throws -> APIReply {
        let route = try #require(Assets().routes.first)
        return try await route.handler(
            APIRequest(
                method: .get, route: route.path, path: "/assets/\(name)", parameters: ["name": name], query: query,
                headers: etag.map { ["if-none-match": $0] } ?? [:], principal: PageFixture.viewer))
    }

    private func header(_ name: String, _ reply: APIReply) -> String? { reply.headers.first { $0.name == name }?.value }

    @Test
    func servesEveryFileThatPagesNeed() async throws {
        #expect(
            Assets().names
                == [
                    "app.css", "app.js", "chart.min.js", "favicon.svg", "htmx.min.js", "overview.js", "replay.js",
                    "span.js", "sse.js", "trace.js",
                ])
        for name in Assets().names {
            let reply = try await get(name)
            guard case .bytes(let bytes) = reply.body else { continue }
            #expect(reply.status == 200 && bytes.count > 200, "\(name)")
            #expect(header("cache-control", reply) == "no-cache")
        }
    }

    @Test
    func isKeptForGoodUnderItsHashAlone() async throws {
        let address = Assets().pageAssets.style
        let version = try #require(address.split(separator: "=").last.map(String.init))
        let named = try await get("app.css", query: [("v", version)])
        #expect(header("cache-control", named)?.contains("immutable") == true)
        let stale = try await get("app.css", query: [("v", "0000000000000000")])
        #expect(header("cache-control", stale) == "no-cache")
        let again = try await get("app.css", etag: header("etag", named))
        #expect(again.status == 304)
        await #expect(throws: Problem.self) { _ = try await get("../secret") }
    }
}
