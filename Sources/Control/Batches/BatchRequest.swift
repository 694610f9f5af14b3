import Kernel

/// Requests to make a file or a batch, read and checked.
enum BatchRequest {
    /// Doors that the requests of a batch may go to.
    static let endpoints = ["/v1/chat/completions", "/v1/responses", "/v1/embeddings"]
    static let messagesEndpoint = "/v1/messages"
    /// Seconds that a file may be kept (OpenAI API reference, "Upload file", `expires_after`).
    static let keptSeconds: ClosedRange<Int64> = 3_600...2_592_000
    /// OpenAI API reference, "Create batch", `metadata`.
    static let metadataMax = 16
    static let metadataNameCharacters = 64
    static let metadataValueCharacters = 512
    /// Headers of the request that makes a batch which its calls get too.
    private static let passedHeaders = [
        "x-reeve-task", "x-reeve-session", "x-reeve-user", "x-reeve-tags", "x-reeve-translation",
        "anthropic-version", "anthropic-beta", "openai-organization", "openai-project",
    ]
    private static let headerCharacters = 1_000

    /// What a client sent that is not acceptable, as OpenAI's and Anthropic's clients know it.
    static func invalid(_ field: String, _ detail: String, hint: String = "") -> Problem {
        Problem(.badRequest, "\(field): \(detail)", hint: hint, field: field)
    }

    // MARK: a file

    struct Upload: Sendable {
        let name: String
        let content: [UInt8]
        /// How long it is to be kept, where it says so.
        let span: Span?
    }

    static func upload(_ request: APIRequest, max: Int) throws -> Upload {
        guard let type = request.headers["content-type"], let boundary = Multipart.boundary(of: type) else {
            throw Problem(
                .badRequest, "A file is sent as multipart/form-data.",
                hint: "Send `file` and `purpose` as the SDK does: client.files.create(file=…, purpose=\"batch\").")
        }
        let parts = try Multipart.parse(request.body, boundary: boundary)
        func text(_ name: String) -> String? {
            parts.first { $0.name == name }.map { String(decoding: $0.body, as: UTF8.self) }
        }
        guard text("purpose") == BatchFile.Purpose.batch.rawValue else {
            throw invalid(
                "purpose", "files are kept for batches alone",
                hint: "Send purpose=\"batch\"; other content goes into the request itself.")
        }
        guard let file = parts.first(where: { $0.name == "file" }) else { throw invalid("file", "it is missing") }
        guard file.body.count <= max else {
            throw Problem(
                .bodyTooLarge, "The file is larger than \(max) bytes.",
                hint: "Split it into several batches; the setting is `batches.fileBytes`.")
        }
        let given = (file.filename ?? "").unicodeScalars.filter { $0.properties.generalCategory != .control }
        let name = String(String(String.UnicodeScalarView(given)).prefix(request.limits.nameCharacters))
        return Upload(
            name: name.isEmpty ? "file.jsonl" : name, content: file.body,
            span: try span(
                anchor: text("expires_after[anchor]").map(JSONValue.string),
                seconds: text("expires_after[seconds]").map { Int64($0).map(JSONValue.int) ?? .string($0) },
                path: "expires_after"))
    }

    private static func span(anchor: JSONValue?, seconds: JSONValue?, path: String) throws -> Span? {
        guard anchor != nil || seconds != nil else { return nil }
        guard anchor == "created_at" else { throw invalid("\(path).anchor", "\"created_at\" is expected") }
        guard let count = seconds?.int, keptSeconds.contains(count) else {
            throw invalid(
                "\(path).seconds", "\(keptSeconds.lowerBound) to \(keptSeconds.upperBound) is expected")
        }
        return .seconds(count)
    }

    // MARK: a batch of OpenAI's dialect

    static func batch(_ request: APIRequest, policy: BatchPolicy, world: World) throws -> Batch {
        let body = try request.json()
        guard let input = body["input_file_id"]?.string else { throw invalid("input_file_id", "it is missing") }
        guard let endpoint = body["endpoint"]?.string, endpoints.contains(endpoint) else {
            throw invalid("endpoint", "one of \(endpoints.joined(separator: ", ")) is expected")
        }
        guard body["completion_window"]?.string == "24h" else {
            throw invalid("completion_window", "\"24h\" is expected")
        }
        let after = body["output_expires_after"]
        let span = after.flatMap { $0.isNull ? nil : $0 }
        return make(
            request, .openAI, endpoint: endpoint, inputFile: input, metadata: try metadata(body["metadata"]),
            outputSpan: try span.map {
                guard
                    let kept = try Self.span(
                        anchor: $0["anchor"] ?? .null, seconds: $0["seconds"], path: "output_expires_after")
                else { return policy.retention }
                return kept
            } ?? policy.retention, world: world)
    }

    private static func metadata(_ value: JSONValue?) throws -> JSONValue {
        guard let value, !value.isNull else { return .null }
        guard let object = value.object, object.count <= metadataMax else {
            throw invalid("metadata", "an object of at most \(metadataMax) members is expected")
        }
        for member in object.members {
            guard member.name.unicodeScalars.count <= metadataNameCharacters, let text = member.value.string,
                text.unicodeScalars.count <= metadataValueCharacters
            else {
                throw invalid(
                    "metadata",
                    "names of at most \(metadataNameCharacters) and texts of at most "
                        + "\(metadataValueCharacters) characters are expected")
            }
        }
        return value
    }

    // MARK: a batch of Anthropic's dialect

    static func messageBatch(_ request: APIRequest, inputFile: String, policy: BatchPolicy, world: World) throws
        -> Batch
    {
        let body: JSONValue
        do {
            body = try JSONParser.parse(request.body, depthMax: BatchPolicy.jsonDepth)
        } catch let failure as JSONParser.Failure {
            throw Problem(
                .badRequest, "The body is not acceptable JSON: \(failure.reason), at byte \(failure.offset).")
        }
        guard let requests = body["requests"]?.array, !requests.isEmpty else {
            throw invalid("requests", "a list of at least one request is expected")
        }
        guard requests.count <= policy.lines else {
            throw invalid(
                "requests", "at most \(policy.lines) are allowed",
                hint: "Send several batches; the setting is `batches.lines`.")
        }
        var seen: Set<String> = []
        for (index, item) in requests.enumerated() {
            let path = "requests.\(index).custom_id"
            guard let id = item["custom_id"]?.string, isCustomID(id) else {
                throw invalid(
                    path,
                    "a text of 1 to \(BatchPolicy.messageCustomIDCharacters) letters, digits, _ and - is expected")
            }
            guard seen.insert(id).inserted else { throw invalid(path, "\"\(id)\" stands in an earlier request too") }
        }
        var batch = make(
            request, .anthropic, endpoint: messagesEndpoint, inputFile: inputFile, metadata: .null,
            outputSpan: policy.retention, world: world)
        batch.counts.total = Int64(requests.count)
        return batch
    }

    private static func isCustomID(_ text: String) -> Bool {
        (1...BatchPolicy.messageCustomIDCharacters).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
            }
    }

    // MARK: both

    private static func make(
        _ request: APIRequest, _ dialect: Batch.Dialect, endpoint: String, inputFile: String, metadata: JSONValue,
        outputSpan: Span, world: World
    ) -> Batch {
        var headers = JSONObject()
        for name in passedHeaders {
            guard let value = request.headers[name], value.unicodeScalars.count <= headerCharacters else { continue }
            headers.append(name, .string(value))
        }
        let now = world.now
        return Batch(
            id: dialect.newID(world), dialect: dialect, owner: request.principal.batchOwner,
            principal: request.principal, endpoint: endpoint, inputFile: inputFile, headers: .object(headers),
            metadata: metadata, outputSpan: outputSpan, correlationID: request.correlationID, createdAt: now,
            expiresAt: now + BatchPolicy.window)
    }
}
