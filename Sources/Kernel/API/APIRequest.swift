/// A request as features see it: read, authenticated, within limits, and free of any web framework.
public struct APIRequest: Sendable {
    public enum Method: String, Sendable, CaseIterable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
        /// Vault's own.
        case list = "LIST"
    }

    public let method: Method
    /// The route's pattern, such as `/api/v1/tasks/{id}`: bounded, so it may label metrics.
    public let route: String
    public let path: String
    /// The values of the pattern's placeholders, percent-decoded.
    public let parameters: [String: String]
    /// The query's pairs, percent-decoded, in their order.
    public let query: [(name: String, value: String)]
    public let headers: RequestHeaders
    /// Whether it asks for the headers alone (RFC 9110 §9.3.2); its method is then ``Method/get``.
    public let isHead: Bool
    public let body: [UInt8]
    public let principal: Principal
    public let requestID: String
    public let correlationID: String
    /// Whether the client named the correlation id; without it the trace's id stands for one.
    public let isCorrelated: Bool
    /// The request's place in a trace (W3C Trace Context), made where the client named none; empty where nobody did.
    public let traceparent: String
    /// Whether the client named the trace.
    public let isTraced: Bool
    /// What the client passes on beside the trace.
    public let tracestate: String?
    public let remoteAddress: String
    public let limits: Limits

    public init(
        method: Method, route: String, path: String, parameters: [String: String] = [:],
        query: [(name: String, value: String)] = [], headers: RequestHeaders = [:], isHead: Bool = false,
        body: [UInt8] = [],
        principal: Principal, requestID: String = "", correlationID: String = "", isCorrelated: Bool = false,
        traceparent: String = "", isTraced: Bool = false, tracestate: String? = nil, remoteAddress: String = "",
        limits: Limits = Limits()
    ) {
        self.method = method
        self.route = route
        self.path = path
        self.parameters = parameters
        self.query = query
        self.headers = headers
        self.isHead = isHead
        self.body = body
        self.principal = principal
        self.requestID = requestID
        self.correlationID = correlationID
        self.isCorrelated = isCorrelated
        self.traceparent = traceparent
        self.isTraced = isTraced
        self.tracestate = tracestate
        self.remoteAddress = remoteAddress
        self.limits = limits
    }

    /// A placeholder of the route; asking for one that it has not is a mistake in the code.
    public func parameter(_ name: String) -> String {
        guard let value = parameters[name] else { preconditionFailure("\(route) has no {\(name)}") }
        return value
    }

    public func queryValue(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// The comma-separated values of a query parameter, empties left out; `nil` where it is absent.
    public func queryList(_ name: String) -> [String]? {
        queryValue(name)?.split(separator: ",").map(String.init)
    }

    /// The body as JSON, whatever its content type says: the seed's heartbeat comes without one.
    public func json() throws -> JSONValue {
        do {
            return try JSONParser.parse(body, depthMax: limits.jsonDepth)
        } catch let failure as JSONParser.Failure {
            throw Problem(
                failure.isJSON ? .invalid : .invalidJSON,
                "The body is not acceptable JSON: \(failure.reason), at byte \(failure.offset).",
                hint: "Send one JSON document in UTF-8.")
        }
    }

    /// The body as the fields of a JSON object.
    public func fields() throws -> Fields {
        let document = try json()
        guard let object = document.object else {
            throw Problem(
                .invalid, "The body is a JSON \(document.typeName), where an object is expected.",
                hint: "Send {…}.")
        }
        return Fields(object, limits: limits)
    }

    /// Like ``fields()``, with an absent body standing for `{}`.
    public func optionalFields() throws -> Fields {
        body.isEmpty ? Fields(JSONObject(), limits: limits) : try fields()
    }

    /// `limit` and `after` of a list, clamped to the page limit.
    public func page() throws -> Page {
        var limit = Limits.pageRowsDefault
        if let text = queryValue("limit") {
            guard let value = Int(text), value > 0 else {
                throw Problem.invalid("limit", "a whole number above zero is expected")
            }
            limit = min(value, limits.pageRows)
        }
        return Page(limit: limit, after: queryValue("after").flatMap { $0.isEmpty ? nil : $0 })
    }
}

/// Which part of a list is asked for.
public struct Page: Sendable {
    public let limit: Int
    /// The cursor that the last page ended with.
    public let after: String?

    public init(limit: Int, after: String? = nil) {
        self.limit = limit
        self.after = after
    }

    /// A page of rows, of which one more than its limit was read: that one only says that there is a next page.
    public func cut<Row>(_ rows: [Row], cursor: (Row) -> String) -> (items: [Row], next: String?) {
        let items = Array(rows.prefix(limit))
        return (items, rows.count > limit ? items.last.map(cursor) : nil)
    }
}
