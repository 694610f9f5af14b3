import Kernel
import Testing

@testable import Gateway

/// Providers: addresses, keys, headers.
@Suite struct ProviderSettingsTests {
    private func provider(_ members: String) throws -> ProviderSettings {
        let settings = try GatewaySettings(YAMLDocument.parse("providers: {p: {\(members)}}"))
        return try #require(settings.provider("p"))
    }

    /// An address: TLS, host, port, path, and the value of `Host`.
    @Test(
        arguments: [
            ("https://api.openai.com/v1", true, "api.openai.com", 443, "/v1", "api.openai.com"),
            ("http://127.0.0.1:8099/v1/", false, "127.0.0.1", 8_099, "/v1", "127.0.0.1:8099"),
            ("http://localhost:11434", false, "localhost", 11_434, "", "localhost:11434"),
            ("HTTP://Example.COM:80//", false, "example.com", 80, "", "example.com"),
            ("https://[::1]:8443/v1", true, "::1", 8_443, "/v1", "[::1]:8443"),
            ("https://[fe80::1]", true, "fe80::1", 443, "", "[fe80::1]"),
            ("https://h:80/a/b", true, "h", 80, "/a/b", "h:80"),
        ] as [(String, Bool, String, Int, String, String)])
    func addressesAreReadIntoTheirParts(
        text: String, isTLS: Bool, host: String, port: Int, path: String, authority: String
    ) throws {
        let url = try BaseURL(text, field: "baseURL")
        #expect(url.isTLS == isTLS)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.path == path)
        #expect(url.authority == authority)
    }

    @Test(arguments: [
        "", "api.openai.com/v1", "ftp://host/", "http://", "http:///v1", "http://user:key@host/", "http://host?x=1",
        "http://host/#a", "http://host:0/", "http://host:65536/", "http://host:+80/", "http://host:/", "http://ho st/",
        "http://[::1", "http://[host]/", "http://[::1]x/", "http://höst/", "http://host/{name}", "http://host/a/../b",
        "http://host/\r\nx", "http://a:1:2/", "http://host\\evil/", "https://" + String(repeating: "h", count: 2_000),
    ])
    func otherTextsAreNoAddresses(text: String) {
        let problem = #expect(throws: Problem.self) { try BaseURL(text, field: "providers/p/baseURL") }
        #expect(problem?.field == "providers/p/baseURL")
    }

    /// A provider, an endpoint, and what then stands on the request line.
    @Test(
        arguments: [
            ("kind: openai", .chatCompletions, "/v1/chat/completions"), ("kind: openai", .responses, "/v1/responses"),
            ("kind: anthropic", .messages, "/v1/messages"),
            ("kind: anthropic", .countTokens, "/v1/messages/count_tokens"),
            ("kind: anthropic, baseURL: 'http://h:1/v1'", .messages, "/v1/messages"),
            ("kind: anthropic, baseURL: 'http://h:1/proxy'", .messageBatches, "/proxy/v1/messages/batches"),
            ("kind: openai, baseURL: 'https://api.groq.com/openai/v1'", .models, "/openai/v1/models"),
            ("kind: openai, baseURL: 'http://localhost:11434/v1/'", .embeddings, "/v1/embeddings"),
            ("kind: openai, baseURL: 'https://api.deepseek.com'", .chatCompletions, "/chat/completions"),
            (
                "kind: openai, baseURL: 'https://r.openai.azure.com/openai/v1', query: {api-version: preview}",
                .chatCompletions, "/openai/v1/chat/completions?api-version=preview"
            ),
            (
                """
                kind: openai, baseURL: 'https://r.openai.azure.com/openai/deployments/{model}',
                query: {api-version: '2024-10-21', 'a b': 'c&d'}
                """, .chatCompletions,
                "/openai/deployments/my%2Fmodel%20%C3%A9/chat/completions?api-version=2024-10-21&a%20b=c%26d"
            ),
        ] as [(String, ProviderEndpoint, String)])
    func requestsGoBehindTheBaseAddress(members: String, endpoint: ProviderEndpoint, target: String) throws {
        #expect(try provider(members).requestTarget(endpoint, model: "my/model é") == target)
    }

    @Test func aPathMayGoOnBehindTheEndpoint() throws {
        let openAI = try provider("kind: openai, query: {v: '1'}")
        #expect(openAI.requestTarget(.batches, below: "/batch_1/cancel") == "/v1/batches/batch_1/cancel?v=1")
    }

    @Test(arguments: [
        ("kind: openai", "authorization", "Bearer key"), ("kind: anthropic", "x-api-key", "key"),
        ("kind: openai, keyHeader: api-key", "api-key", "key"),
        ("kind: anthropic, keyHeader: Authorization", "authorization", "Bearer key"),
    ])
    func theKeyGoesInItsHeader(members: String, name: String, value: String) throws {
        #expect(try provider(members).keyHeader(for: "key") == .init(name: name, value: value))
    }

    @Test func whereNoAddressIsGivenItIsTheMakers() throws {
        #expect(try provider("kind: openai").baseURL == BaseURL("https://api.openai.com/v1", field: ""))
        #expect(try provider("kind: anthropic").baseURL == BaseURL("https://api.anthropic.com", field: ""))
        let scripted = try provider("kind: scripted, script: drill.yaml")
        #expect(scripted.baseURL == nil)
        #expect(scripted.script == "drill.yaml")
        #expect(scripted.kind.dialect == .openAI)
    }

    @Test func headersGoInLowerCase() throws {
        let given = try provider("kind: openai, headers: {OpenAI-Organization: org-1, X-Title: 'My fleet'}")
        #expect(
            given.headers == [
                .init(name: "openai-organization", value: "org-1"), .init(name: "x-title", value: "My fleet"),
            ])
    }

    @Test(arguments: [
        ("", "kind"), ("kind: gemini", "kind"), ("kind: openai, url: 'http://h'", "url"),
        ("kind: openai, baseURL: h", "baseURL"), ("kind: openai, baseURL: 5", "baseURL"),
        ("kind: openai, apiKeyFile: ''", "apiKeyFile"), ("kind: openai, apiKey: sk-1", "apiKey"),
        ("kind: openai, apiKeyFile: k, apiKeyEnvironment: K", "apiKeyEnvironment"),
        ("kind: openai, apiKeyEnvironment: sk-abc", "apiKeyEnvironment"),
        ("kind: openai, apiKeyEnvironment: 1KEY", "apiKeyEnvironment"),
        ("kind: openai, apiKeyEnvironment: ''", "apiKeyEnvironment"), ("kind: openai, keyHeader: 'a b'", "keyHeader"),
        ("kind: openai, headers: {Authorization: x}", "headers/Authorization"),
        ("kind: openai, headers: {Host: x}", "headers/Host"), ("kind: openai, headers: {'a b': x}", "headers/a b"),
        ("kind: openai, headers: {a: 5}", "headers/a"), ("kind: openai, headers: {a: \"b\\nc: d\"}", "headers/a"),
        ("kind: openai, headers: {a: x, A: y}", "headers/A"), ("kind: openai, query: {v: 1}", "query/v"),
        ("kind: openai, keyHeader: my-key, headers: {My-Key: x}", "headers/My-Key"),
        ("kind: openai, script: s.yaml", "script"), ("kind: scripted, baseURL: 'http://h', script: s.yaml", "script"),
        ("kind: openai, keyPolicy: none", "keyPolicy"), ("kind: openai, keys: {teams: {}}", "keys/teams"),
        ("kind: openai, keys: {users: {ann: {}}}", "keys/users/ann"),
        ("kind: openai, keys: {users: {ann: k}}", "keys/users/ann"),
        ("kind: openai, keys: {users: {ann: {file: k}}}", "keys/users/ann/file"),
        ("kind: openai, apiKeySecret: sk-abc", "apiKeySecret"),
        ("kind: openai, apiKeySecret: 'secret://team/openai'", "apiKeySecret"),
        ("kind: openai, apiKeySecret: 'secret://user/{user}/openai'", "apiKeySecret"),
        ("kind: openai, apiKeyFile: k, apiKeySecret: 'secret://platform/openai'", "apiKeySecret"),
        ("kind: openai, keyFallbackOn: [quota]", "keyFallbackOn"),
        ("kind: openai, keyFallbackOn: [absent, always]", "keyFallbackOn"),
        ("kind: openai, keyPolicy: strict_user, keyFallbackOn: [absent]", "keyFallbackOn"),
        ("kind: openai, keys: {users: {'*': {apiKeyFile: k}}}", "keys/users/*/apiKeyFile"),
        ("kind: openai, keys: {users: {'*': {}}}", "keys/users/*/apiKeySecret"),
        ("kind: openai, keys: {users: {'*': {apiKeySecret: 'secret://user/ann/o'}}}", "keys/users/*/apiKeySecret"),
        ("kind: openai, keys: {users: {'*': {apiKeySecret: 'secret://org/{user}'}}}", "keys/users/*/apiKeySecret"),
        (
            "kind: openai, keys: {projects: {'*': {apiKeySecret: 'secret://user/{user}/o'}}}",
            "keys/projects/*/apiKeySecret"
        ),
        (
            "kind: openai, keys: {organisations: {'*': {apiKeySecret: 'secret://org/{user}'}}}",
            "keys/organisations/*/apiKeySecret"
        ),
    ])
    func aWrongProviderIsRefusedWithItsPlace(members: String, field: String) {
        let problem = #expect(throws: Problem.self) { try provider(members) }
        #expect(problem?.field == "providers/p/" + field)
    }

    @Test func headersAndParametersHaveAnEnd() throws {
        func document(_ section: String, _ count: Int) -> JSONValue {
            let pairs = JSONObject((0..<count).map { .init(name: "x\($0)", value: "v") })
            return ["providers": ["p": ["kind": "openai", section: .object(pairs)]]]
        }
        for section in ["headers", "query"] {
            #expect(try GatewaySettings(document(section, 32)).providers.count == 1)
            #expect(throws: Problem.self) { try GatewaySettings(document(section, 33)) }
        }
    }

    @Test(arguments: [
        ("keys/main", "/etc/reeve/reeve.yaml", "/etc/reeve/keys/main"), ("keys/main", "reeve.yaml", "keys/main"),
        ("keys/main", "conf/reeve.yaml", "conf/keys/main"), ("/run/key", "/etc/reeve.yaml", "/run/key"),
        ("../key", "/etc/reeve/reeve.yaml", "/etc/reeve/../key"), ("key", "/reeve.yaml", "/key"),
    ])
    func keyFilesLieBesidesTheSettings(path: String, settings: String, resolved: String) {
        #expect(KeySource.path(path, besides: settings) == resolved)
    }

    /// Policy, user, organisation, and whose key goes out.
    @Test(
        arguments: [
            ("fallback", "ann", "acme", .user, .file("a")),
            ("fallback", "bob", "acme", .organisation, .environment("ACME")),
            ("fallback", "bob", "other", .platform, .file("p")), ("fallback", nil, nil, .platform, .file("p")),
            ("strict_user", "ann", "acme", .user, .file("a")), ("strict_user", "bob", "acme", .none, nil),
            ("strict_user", nil, nil, .none, nil),
        ] as [(String, String?, String?, ProviderKeys.Resolution.Level, KeySource?)])
    func theNearestKeyIsTaken(
        policy: String, user: String?, organisation: String?, level: ProviderKeys.Resolution.Level, source: KeySource?
    ) throws {
        let given = try provider(
            """
            kind: openai, apiKeyFile: p, keyPolicy: \(policy),
            keys: {users: {ann: {apiKeyFile: a}}, organisations: {acme: {apiKeyEnvironment: ACME}}}
            """)
        let nearest = given.keys.candidates(users: [user].compactMap(\.self), project: nil, organisation: organisation)
        #expect((nearest.first?.level ?? .none, nearest.first?.source) == (level, source))
    }

    @Test(
        arguments: [
            ("fallback", ["ann"], "user:ann"), ("fallback", ["bob"], "organisation:acme"),
            ("fallback", ["cid", "ann"], "user:ann"), ("fallback", ["cid"], "platform"),
            ("strict_user", ["ann"], "user:ann"), ("strict_user", ["bob"], "refused"), ("strict_user", [], "refused"),
        ])
    func aMemberUsesTheKeyOfItsOrganisation(policy: String, names: [String], words: String) throws {
        let given = try provider(
            """
            kind: openai, apiKeyFile: p, keyPolicy: \(policy),
            keys: {users: {ann: {apiKeyFile: a}}, organisations: {acme: {apiKeyFile: o, members: [bob]}}}
            """)
        #expect(given.keys.resolve(users: names).words == words)
    }

    @Test func aMemberBelongsToOneOrganisation() {
        let problem = #expect(throws: Problem.self) {
            try provider(
                """
                kind: openai,
                keys: {organisations: {a: {apiKeyFile: x, members: [b]}, c: {apiKeyFile: y, members: [b]}}}
                """
            )
        }
        #expect(problem?.field?.hasSuffix("keys/organisations/c/members/0") == true)
    }

    @Test func keptKeysAreNamedFromTheNearestOn() throws {
        let keys = try provider(
            """
            kind: openai, apiKeySecret: 'secret://platform/openai', keyFallbackOn: [absent, expired, quota],
            keys: {
              users: {ann: {apiKeyFile: a}, '*': {apiKeySecret: 'secret://user/{user}/openai'}},
              projects: {'*': {apiKeySecret: 'secret://project/{project}/openai'}},
              organisations: {acme: {apiKeySecret: 'secret://org/openai', members: [bob]}}}
            """
        ).keys
        #expect(keys.fallbackOn == [.absent, .expired, .quota])
        #expect(!keys.isPlain)
        #expect(keys.sources == [.file("a")])
        #expect(
            keys.candidates(users: ["ann"], project: nil).map(\.words) == [
                "user:ann", "platform (secret://platform/openai)",
            ])
        // A name that stands in no path brings no key.
        #expect(
            keys.candidates(users: ["bob", "a/b"], project: "web").map(\.words) == [
                "user:bob (secret://user/bob/openai)", "project:web (secret://project/web/openai)",
                "organisation:acme (secret://org/openai)", "platform (secret://platform/openai)",
            ])
    }

    @Test func withoutAnyKeyThereIsNone() {
        #expect(ProviderKeys().resolve(users: ["ann"]) == .init(level: .none, source: nil))
    }
}
