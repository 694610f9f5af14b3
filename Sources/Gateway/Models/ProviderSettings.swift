import Kernel

/// A place that answers model calls, as the settings describe it.
struct ProviderSettings: Sendable, Equatable {
    enum Kind: String, Sendable, CaseIterable {
        /// Everything that speaks OpenAI's dialect: OpenAI, Azure, Groq, Mistral, Ollama, vLLM, llama.cpp and others.
        case openai
        case anthropic
        /// The deterministic model of tests and drills: at `baseURL`, or within Reeve where there is none.
        case scripted

        var dialect: UsageDialect { self == .anthropic ? .anthropic : .openAI }
    }

    struct Pair: Sendable, Equatable {
        let name: String
        let value: String
    }

    let name: String
    let kind: Kind
    /// Absent only where Reeve itself answers (`scripted`) and has not begun to; see ``ScriptedProviders``.
    var baseURL: BaseURL?
    var keys = ProviderKeys()
    /// The header that carries the key, in lower case. `authorization` carries `Bearer` before it.
    var keyHeader: String
    /// Headers that go with every call.
    var headers: [Pair] = []
    /// Parameters that go with every call, such as Azure's `api-version`.
    var query: [Pair] = []
    /// The script of a `scripted` provider within Reeve; a path like that of a key file.
    var script: String?

    /// What stands on the request line (RFC 9112 §3.2.1): the base address' path, the endpoint's and the query. A base
    /// address may name the model as `{model}` (Azure's deployments), which is then put in with its odd bytes escaped.
    /// `below` follows the endpoint, such as `/batch_1/cancel`.
    func requestTarget(_ endpoint: ProviderEndpoint, model: String = "", below: String = "") -> String {
        var base = (baseURL?.path ?? "").replacing(BaseURL.modelPlaceholder, with: Self.escaped(model))
        // An Anthropic base address is often written with the `/v1` that its endpoints begin with.
        if endpoint.dialect == .anthropic, base.hasSuffix("/v1") { base.removeLast(3) }
        var target = base + endpoint.rawValue + below
        for (index, item) in query.enumerated() {
            target += (index == 0 ? "?" : "&") + Self.escaped(item.name) + "=" + Self.escaped(item.value)
        }
        return target
    }

    /// The header that a key goes out in.
    func keyHeader(for key: String) -> Pair {
        Pair(name: keyHeader, value: keyHeader == "authorization" ? "Bearer \(key)" : key)
    }

    /// RFC 3986 §2.3: all but the unreserved characters as `%XX`.
    private static func escaped(_ text: String) -> String {
        var output: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                output.append(byte)
            default:
                output.append(UInt8(ascii: "%"))
                output += [byte >> 4, byte & 15].map { $0 < 10 ? $0 + 48 : $0 + 55 }
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}

extension ProviderSettings {
    /// Headers that Reeve sets itself, and those that carry keys, which belong in a file.
    private static let headersOfReeve: Set<String> = [
        "host", "content-length", "content-type", "transfer-encoding", "connection", "te", "trailer", "upgrade",
        "keep-alive", "proxy-authorization", "authorization", "x-api-key", "api-key", "accept-encoding", "expect",
    ]

    init(name: String, _ fields: Fields) throws {
        try fields.refuseOthers(than: [
            "kind", "baseURL", "apiKeyFile", "apiKeyEnvironment", "apiKeySecret", "keys", "keyPolicy", "keyFallbackOn",
            "keyHeader", "headers", "query", "script",
        ])
        self.name = name
        kind = try fields.choice("kind", Kind.self)
        let url = try fields.optionalString("baseURL", max: .max) ?? Self.baseURL(of: kind)
        baseURL = try url.map { try BaseURL($0, field: fields.path("baseURL")) }
        keys = try ProviderKeys(fields)
        let header = try fields.optionalString("keyHeader", max: GatewayLimits.nameCharacters)?.lowercased()
        keyHeader = header ?? (kind == .anthropic ? "x-api-key" : "authorization")
        guard Self.isToken(keyHeader) else {
            throw Problem.invalid(fields.path("keyHeader"), "the name of a header is expected")
        }
        headers = try Self.pairs(fields, "headers", max: GatewayLimits.headersPerProvider).map { pair in
            let name = pair.name.lowercased()
            let path = fields.path("headers") + "/" + pair.name
            guard Self.isToken(name) else { throw Problem.invalid(path, "the name of a header is expected") }
            guard !Self.headersOfReeve.contains(name), name != keyHeader else {
                throw Problem.invalid(
                    path, "this header is Reeve's own", hint: "A key belongs in apiKeyFile, its header in keyHeader.")
            }
            return Pair(name: name, value: pair.value)
        }
        query = try Self.pairs(fields, "query", max: GatewayLimits.queryItemsPerProvider)
        script = try fields.optionalString("script", max: GatewayLimits.pathCharacters)
        guard script == nil || (kind == .scripted && baseURL == nil) else {
            throw Problem.invalid(
                fields.path("script"), "only a provider of kind scripted without a baseURL has a script")
        }
    }

    private static func baseURL(of kind: Kind) -> String? {
        switch kind {
        case .openai: "https://api.openai.com/v1"
        case .anthropic: "https://api.anthropic.com"
        case .scripted: nil
        }
    }

    /// RFC 9110 §5.6.2.
    private static func isToken(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
                    || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
    }

    private static func pairs(_ fields: Fields, _ name: String, max: Int) throws -> [Pair] {
        guard let group = try fields.optionalFields(name) else { return [] }
        guard group.object.count <= max else {
            throw Problem.invalid(fields.path(name), "at most \(max) are allowed")
        }
        var seen: Set<String> = []
        return try group.object.members.map { member in
            let path = group.path(member.name)
            guard seen.insert(member.name.lowercased()).inserted else { throw Problem.invalid(path, "it stands twice") }
            guard let value = member.value.string else {
                throw Problem.invalid(
                    path, "a string is expected, not \(member.value.typeName)", hint: "Write it in quotes.")
            }
            let isClean = value.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 0x20 && $0.value != 0x7F }
            guard isClean, value.utf8.count <= GatewayLimits.headerCharacters, !member.name.isEmpty else {
                throw Problem.invalid(
                    path, "at most \(GatewayLimits.headerCharacters) printable ASCII characters are allowed")
            }
            return Pair(name: member.name, value: value)
        }
    }
}
