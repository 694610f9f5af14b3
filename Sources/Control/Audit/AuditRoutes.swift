import Kernel

/// The audit log over HTTP.
public struct AuditRoutes: Sendable {
    let service: AuditService
    let storage: any Storage

    public init(service: AuditService, storage: any Storage) {
        self.service = service
        self.storage = storage
    }

    public var routes: [Route] {
        [
            Route(
                .get, "/api/v1/audit", .operate, "Administrative acts, oldest first",
                shape: .list(of: Self.entrySchema), handler: list),
            Route(
                .get, "/api/v1/audit/verify", .operate, "Checks the audit log's chain of hashes from its first row",
                shape: RouteShape(reply: AuditRoutes.reportSchema), handler: verify),
        ]
    }

    private func list(_ request: APIRequest) async throws -> APIReply {
        let page = try request.page()
        let after = try page.sequenceCursor()
        let entries = try await storage.read { try service.list(after: after, limit: page.limit + 1, in: $0) }
        let (items, next) = page.cut(entries) { String($0.number) }
        return .list(items, next: next)
    }

    private func verify(_ request: APIRequest) async throws -> APIReply {
        .json(try await service.verify(storage).json)
    }

    private static let entrySchema: JSONValue = [
        "type": "object",
        "properties": [
            "number": ["type": "integer"], "at": ["type": "string", "format": "date-time"],
            "action": ["type": "string"], "actor": ["type": "string"], "keyId": ["type": "string"],
            "target": ["type": "string"], "detail": [:], "previous": ["type": "string"], "hash": ["type": "string"],
        ],
    ]

    private static let reportSchema: JSONValue = [
        "type": "object",
        "properties": [
            "valid": ["type": "boolean"], "rows": ["type": "integer"], "brokenAt": ["type": "integer"],
            "head": ["type": "string"],
        ],
    ]
}

extension Page {
    /// The cursor of a list that is numbered 1, 2, 3…; zero where there is none.
    func sequenceCursor() throws -> Int64 {
        guard let after else { return 0 }
        guard let number = Int64(after), number >= 0 else {
            throw Problem.invalid("after", "a whole number is expected", hint: "Use the `next` of the page before.")
        }
        return number
    }
}
