import Foundation
import Kernel
import NIOCore
import Testing

@testable import Gateway

@Suite("Headers that cross the gateway")
struct CallHeadersTests {
    private static func provider(_ entry: JSONValue) throws -> ProviderSettings {
        let settings = try GatewaySettings(["providers": ["p": entry]])
        return try #require(settings.provider("p"))
    }

    private static func request(_ headers: RequestHeaders) -> DoorRequest {
        DoorRequest(
            door: .chat, headers: headers, body: [], principal: Principal(keyID: "key_1", name: "w", role: .agent),
            requestID: "req_1", correlationID: "corr-1", traceparent: "00-trace")
    }

    @Test("a caller's own headers go on; keys, cookies and what is about the connection do not")
    func outgoing() throws {
        let provider = try Self.provider([
            "kind": "openai", "baseURL": "http://models.example:8080/v1", "keyHeader": "api-key",
            "headers": ["x-team": "ours"],
        ])
        let request = Self.request([
            "OpenAI-Beta": "assistants=v2", "User-Agent": "sdk", "Cookie": "s=1", "Api-Key": "callers", "Host": "reeve",
            "Connection": "keep-alive", "X-Reeve-Task": "t", "X-Forwarded-For": "10.0.0.1", "X-Team": "theirs",
            "Content-Type": "application/json", "Accept-Encoding": "gzip", "X-Correlation-ID": "old",
        ])
        let expected = [
            "POST /v1/chat HTTP/1.1", "host: models.example:8080", "OpenAI-Beta: assistants=v2", "User-Agent: sdk",
            "Content-Type: application/json", "content-length: 12", "traceparent: 00-trace", "x-correlation-id: corr-1",
            "x-team: ours", "api-key: secret", "", "",
        ]
        #expect(Self.head(request, to: provider, key: "secret", length: 12, isNative: true) == expected)
    }

    @Test("what goes on of the same headers is made once for each provider")
    func remembered() throws {
        let settings = try GatewaySettings([
            "providers": [
                "p": ["kind": "openai", "baseURL": "http://a.example", "keyHeader": "api-key"],
                "q": ["kind": "openai", "baseURL": "http://b.example", "headers": ["x-team": "ours"]],
            ]
        ])
        let (p, q) = (try #require(settings.provider("p")), try #require(settings.provider("q")))
        let fields = [(name: "Api-Key", value: "callers"), (name: "X-Team", value: "theirs")]
        let memory = RequestHeaders.Memory()
        for _ in 0..<2 {
            let request = Self.request(RequestHeaders(fields, memory: memory))
            let (toP, toQ) = (Self.head(request, to: p), Self.head(request, to: q))
            #expect(toP.contains("X-Team: theirs") && !toP.contains { $0.hasPrefix("Api-Key") })
            #expect(!toQ.contains { $0.hasPrefix("Api-Key") } && toQ.contains("x-team: ours"))
            #expect(!toQ.contains("X-Team: theirs"))
        }
        for number in 0..<20 { #expect(RequestHeaders(fields, memory: memory).derived("\(number)") { [7] } == [7]) }
    }

    /// The lines of a head to a provider.
    private static func head(
        _ request: DoorRequest, to provider: ProviderSettings, key: String? = nil, length: Int = 0,
        isNative: Bool = true
    ) -> [String] {
        var head = ByteBuffer()
        CallHeaders.write(
            request, to: provider, target: "/v1/chat", key: key, length: length, isNative: isNative,
            traceparent: request.traceparent, correlationID: request.correlationID, into: &head)
        return String(buffer: head).replacing("\r\n", with: "\n").split(
            separator: "\n", omittingEmptySubsequences: false
        ).map(String.init)
    }

    @Test("a translated call says which version of the other API it is written for")
    func translated() throws {
        let provider = try Self.provider(["kind": "anthropic", "baseURL": "http://claude.example"])
        let lines = Self.head(Self.request(["OpenAI-Beta": "x"]), to: provider, isNative: false)
        #expect(lines.contains("anthropic-version: 2023-06-01"))
        #expect(!lines.contains { $0.lowercased().hasPrefix("openai-beta") || $0.lowercased().hasPrefix("x-api-key") })
    }

    @Test("an answer's headers about the provider's connection stay behind")
    func returned() {
        let headers = CallHeaders.returned([
            "Content-Type": "application/json", "Set-Cookie": "a=b", "Transfer-Encoding": "chunked",
            "X-RateLimit-Remaining-Requests": "4", "X-Request-Id": "theirs", "Retry-After": "3",
        ])
        #expect(headers.map(\.name) == ["content-type", "x-ratelimit-remaining-requests", "retry-after"])
    }

    @Test(
        "names from headers are visible and short",
        arguments: [
            ("task_1", true), ("", false), ("a b", false), ("ü", false), (String(repeating: "x", count: 200), true),
            (String(repeating: "x", count: 201), false),
        ])
    func names(_ text: String, _ isTaken: Bool) {
        #expect((CallHeaders.name(text) != nil) == isTaken)
    }

    @Test("of tags, the first sixteen are taken")
    func tags() {
        #expect(CallHeaders.names("a, b,,c d,e") == ["a", "b", "e"])
        let many = (0..<40).map { "t\($0)" }.joined(separator: ",")
        #expect(CallHeaders.names(many).count == 16)
    }
}

@Suite("Keys of providers")
struct ProviderKeyringTests {
    @Test("a key is read from beside the settings, and kept while its file is replaced")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "keyring-\(UInt64.random(in: 0 ... .max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("main.key")
        let settings = try GatewaySettings([
            "providers": ["p": ["kind": "openai", "apiKeyFile": "main.key"], "q": ["kind": "openai"]]
        ])
        let ring = ProviderKeyring(settings, settingsFile: folder.appendingPathComponent("reeve.yaml").path)
        let source = try #require(settings.provider("p")).keys.platform
        #expect(ring.reload().count == 1)
        #expect(ring.key(source) == nil)
        try Data("sk-one\n".utf8).write(to: file)
        #expect(ring.reload().isEmpty)
        #expect(ring.key(source) == "sk-one")
        try FileManager.default.removeItem(at: file)
        #expect(ring.reload().count == 1)
        #expect(ring.key(source) == "sk-one")
        for wrong in ["two words", "", "line\u{0}", String(repeating: "k", count: ProviderKeyring.keyBytesMax + 1)] {
            try Data(wrong.utf8).write(to: file)
            let faults = ring.reload()
            #expect(faults.count == 1)
            #expect(!faults.joined().contains("two words"))
            #expect(ring.key(source) == "sk-one")
        }
        #expect(ring.key(nil) == nil)
    }
}
