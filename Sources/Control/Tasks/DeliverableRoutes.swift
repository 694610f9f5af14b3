import Foundation
import Kernel

/// Deliverables over HTTP: sealed by those who hold the task, read by those who may read.
public struct DeliverableRoutes: Sendable {
    let service: TaskService
    let exchange: Exchange
    let blobs: any Blobs
    /// What must not stand in any deliverable.
    private let watch: SecretWatch?

    public init(service: TaskService, exchange: Exchange, blobs: any Blobs, watch: SecretWatch? = nil) {
        self.watch = watch
        self.service = service
        self.exchange = exchange
        self.blobs = blobs
    }

    public var routes: [Route] {
        [
            Route(
                .post, "/api/v1/tasks/{id}/deliverables", .work, "Seal a deliverable, as JSON or multipart/form-data",
                shape: .one("Deliverable", body: "DeliverableRequest", success: 201), handler: seal),
            Route(
                .get, "/api/v1/deliverables/{id}", .read, "Show a deliverable",
                shape: .one("Deliverable"), handler: show),
            Route(
                .get, "/api/v1/deliverables/{id}/content", .read, "The content of a deliverable",
                // Of the type that whoever made it gave it.
                shape: RouteShape(contentType: "*/*"), handler: content),
        ]
    }

    private func seal(_ request: APIRequest) async throws -> APIReply {
        if let kept = try await exchange.kept(request) { return kept }
        let draft = try draft(request)
        // Who may not write is told before anything reaches the disk.
        let task = try await exchange.storage.read { transaction in
            try service.owned(
                request.parameter("id"), fence: draft.fence, by: request.principal, verb: "deliverables",
                takesLate: true, in: transaction
            ).task
        }
        // A task's schema never changes, so the writer need not wait for a check that a hostile pair makes long.
        try draft.check(against: task.deliverableSchema)
        let sha256 = try await blobs.put(draft.content)
        return try await exchange.commit(request) { transaction in
            guard blobs.contains(sha256) else {
                throw Problem(
                    .overloaded, "The content was removed with the last task that had it, at this very moment.",
                    hint: "Send it again.", retryAfterSeconds: 1)
            }
            let deliverable = try service.seal(
                draft, sha256: sha256, task: request.parameter("id"), limits: request.limits, by: request.principal,
                in: transaction)
            return .created(deliverable.json)
        }
    }

    private func draft(_ request: APIRequest) throws -> DeliverableDraft {
        if let type = request.headers["content-type"], let boundary = Multipart.boundary(of: type) {
            return try draft(Multipart.parse(request.body, boundary: boundary), limits: request.limits)
        }
        let fields = try request.fields()
        let name = try fields.name("name")
        return DeliverableDraft(
            fence: try fields.int("fence", in: 0...Int64.max), name: name,
            contentType: try contentType(fields.optionalString("contentType", max: 200), name: name),
            content: try content(fields))
    }

    /// `content` is text; JSON in its place is taken as the document itself, and `contentBase64` carries bytes.
    private func content(_ fields: Fields) throws -> [UInt8] {
        if let encoded = try fields.optionalString("contentBase64", max: .max) {
            guard let data = Data(base64Encoded: encoded) else {
                throw Problem.invalid("contentBase64", "base64 (RFC 4648) is expected")
            }
            // The body was looked through as it came: of what is packed nothing was seen but known values.
            return watch?.clean(Array(data), at: "deliverables") ?? Array(data)
        }
        switch fields.object["content"] {
        case .string(let text)?: return Array(text.utf8)
        case .object?, .array?: return (fields.object["content"] ?? .null).bytes
        case nil: throw Problem.invalid("content", "it is missing")
        case let other?: throw Problem.invalid("content", "a string is expected, not \(other.typeName)")
        }
    }

    private func draft(_ parts: [MultipartPart], limits: Limits) throws -> DeliverableDraft {
        func text(_ name: String) -> String? {
            parts.first { $0.name == name }.map { String(decoding: $0.body, as: UTF8.self) }
        }
        guard let fence = text("fence").flatMap(Int64.init), fence >= 0 else {
            throw Problem.invalid("fence", "a part with the claim's fence is expected")
        }
        guard let file = parts.first(where: { $0.name == "content" || $0.name == "file" }) else {
            throw Problem.invalid("content", "a part with the content is expected")
        }
        guard let given = text("name") ?? file.filename else { throw Problem.invalid("name", "it is missing") }
        let name = try Fields.checkedName(given, path: "name", limits: limits)
        return DeliverableDraft(
            fence: fence, name: name, contentType: try contentType(text("contentType") ?? file.contentType, name: name),
            content: file.body)
    }

    private func contentType(_ given: String?, name: String) throws -> String {
        guard let given else { return name.lowercased().hasSuffix(".json") ? "application/json" : "text/plain" }
        let isClean = given.utf8.allSatisfy { (0x20..<0x7F).contains($0) } && given.contains("/") && given.count <= 200
        guard isClean else { throw Problem.invalid("contentType", "a media type such as text/markdown is expected") }
        return given
    }

    private func deliverable(_ request: APIRequest) async throws -> Deliverable {
        let text = request.parameter("id")
        return try await exchange.storage.read { transaction in
            guard let id = DeliverableID(text),
                let deliverable = try service.deliverables.deliverable(id, in: transaction)
            else { throw Problem.notFound("deliverable", text) }
            return deliverable
        }
    }

    private func show(_ request: APIRequest) async throws -> APIReply { .json(try await deliverable(request).json) }

    /// Agents' content is hostile: it runs in a sandbox without scripts, and is never sniffed.
    private func content(_ request: APIRequest) async throws -> APIReply {
        let deliverable = try await deliverable(request)
        let etag = "\"\(deliverable.sha256)\""
        if request.headers["if-none-match"] == etag { return APIReply(status: 304, headers: [("etag", etag)]) }
        let isText =
            deliverable.contentType.hasPrefix("text/plain") || deliverable.contentType.hasPrefix("text/markdown")
        let name = deliverable.name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "content"
        return APIReply(
            status: 200,
            headers: [
                ("content-type", deliverable.contentType), ("etag", etag),
                ("content-security-policy", "sandbox; default-src 'none'"),
                ("content-disposition", "\(isText ? "inline" : "attachment"); filename*=UTF-8''\(name)"),
                ("cache-control", "private, max-age=31536000, immutable"),
            ], body: .bytes(try await blobs.get(deliverable.sha256)))
    }
}
