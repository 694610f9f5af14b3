/// One address of the interface: what it is, whom it admits, and what answers it. An object, as each request refers to
/// its own.
public final class Route: Sendable {
    public typealias Handler = @Sendable (APIRequest) async throws -> APIReply
    /// Dresses a refusal for whoever speaks this address' protocol; the text is the request's id.
    public typealias Refusal = @Sendable (Problem, String) -> APIReply

    public let method: APIRequest.Method
    /// With placeholders in braces: `/api/v1/tasks/{id}`.
    public let path: String
    public let permission: Permission
    /// One line for the reference.
    public let summary: String
    /// The shapes for the reference and `openapi.json`.
    public let shape: RouteShape
    /// Whether the handler may wait for something to happen (a long poll): it is cancelled when the server stops, and
    /// should then answer with what there is.
    public let waits: Bool
    /// Bytes that a body may have here, where it is not `limits.bodyBytes`.
    public let bodyBytesMax: Int?
    /// For addresses of other protocols; `nil` where a problem is JSON as everywhere.
    public let refusal: Refusal?
    /// The name of what answers on the connection itself, without a task and without a handler.
    public let door: String?
    public let handler: Handler

    public init(
        _ method: APIRequest.Method, _ path: String, _ permission: Permission, _ summary: String,
        shape: RouteShape = RouteShape(), waits: Bool = false, bodyBytesMax: Int? = nil, refusal: Refusal? = nil,
        door: String? = nil, handler: @escaping Handler
    ) {
        self.method = method
        self.path = path
        self.permission = permission
        self.summary = summary
        self.shape = shape
        self.waits = waits
        self.bodyBytesMax = bodyBytesMax
        self.refusal = refusal
        self.door = door
        self.handler = handler
    }

    /// The names in braces, in their order.
    public var placeholders: [String] {
        path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }
}

/// What `openapi.json` says of a route beyond its address.
public struct RouteShape: Sendable {
    /// Query parameters and what they mean.
    public var query: [(name: String, schema: JSONValue, summary: String)]
    /// The JSON Schema of the body; `nil` where there is none.
    public var body: JSONValue?
    /// The content type of the body.
    public var bodyType = "application/json"
    /// Whether a body must come.
    public var isBodyRequired: Bool
    /// The status of success, and the JSON Schema of its body.
    public var success: Int
    public var reply: JSONValue?
    /// The content type of success, where it is not JSON.
    public var contentType: String
    /// What else a caller may ask for, as text.
    public var otherTypes: [String] = []
    /// Kept out of `openapi.json`: pages for people.
    public var isPage: Bool
    /// Stands in `openapi.json`; what it has no words for, such as a protocol's own methods, does not.
    public var isDescribed = true

    public init(
        query: [(name: String, schema: JSONValue, summary: String)] = [], body: JSONValue? = nil,
        isBodyRequired: Bool = true, success: Int = 200, reply: JSONValue? = nil,
        contentType: String = "application/json", isPage: Bool = false
    ) {
        self.query = query
        self.body = body
        self.isBodyRequired = isBodyRequired
        self.success = success
        self.reply = reply
        self.contentType = contentType
        self.isPage = isPage
    }

    public static let page = RouteShape(contentType: "text/html", isPage: true)
}

/// Work that runs by itself, again and again.
public struct Loop: Sendable {
    public let name: String
    public let interval: Span
    public let body: @Sendable () async throws -> Void

    public init(_ name: String, every interval: Span, body: @escaping @Sendable () async throws -> Void) {
        self.name = name
        self.interval = interval
        self.body = body
    }
}
