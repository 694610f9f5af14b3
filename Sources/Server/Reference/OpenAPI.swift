import Control
import Kernel
import Synchronization

/// `openapi.json` (OpenAPI 3.1), made from the routes themselves, so that it cannot say less or more than they do.
struct OpenAPI: Sendable {
    let described: [Route]
    let schemas: [(name: String, schema: JSONValue)]

    /// The document's bytes, made when somebody first asks for them: most servers start and are never asked.
    private final class Page: Sendable {
        private let openAPI: OpenAPI
        private let made = Mutex<[UInt8]?>(nil)

        init(_ openAPI: OpenAPI) { self.openAPI = openAPI }

        var bytes: [UInt8] {
            made.withLock { made in
                if let made { return made }
                let bytes = openAPI.document.bytes
                made = bytes
                return bytes
            }
        }
    }

    /// The address that serves the document, to anybody: it holds no secret, and tools read it before they have a key.
    var routes: [Route] {
        let page = Page(self)
        return [
            Route(
                .get, "/api/v1/openapi.json", .open, "This interface as OpenAPI 3.1",
                shape: RouteShape(reply: ["type": "object"])
            ) { _ in
                APIReply(status: 200, headers: [("content-type", "application/json")], body: .bytes(page.bytes))
            }
        ]
    }

    var document: JSONValue {
        var paths = JSONObject()
        for route in described where !route.shape.isPage && route.shape.isDescribed {
            var item = paths[route.path]?.object ?? JSONObject()
            item[route.method.rawValue.lowercased()] = operation(route)
            paths[route.path] = .object(item)
        }
        var components = JSONObject()
        for entry in schemas { components[entry.name] = entry.schema }
        components["Problem"] = Self.problem
        return [
            "openapi": "3.1.0",
            "info": [
                "title": "Reeve", "version": .string(ReeveVersion.current),
                "summary": "The operations plane for AI agents",
                "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
            ],
            "paths": .object(paths),
            "components": [
                "schemas": .object(components),
                "securitySchemes": ["key": ["type": "http", "scheme": "bearer", "description": "A key of Reeve"]],
            ],
            "security": [["key": []]],
        ]
    }

    private static let problem: JSONValue = [
        "type": "object", "required": ["type", "title", "status", "detail", "code", "requestId"],
        "properties": [
            "type": ["type": "string"], "title": ["type": "string"], "status": ["type": "integer"],
            "detail": ["type": "string"], "code": ["type": "string"], "hint": ["type": "string"],
            "field": ["type": "string"], "requestId": ["type": "string"],
        ],
    ]

    private func operation(_ route: Route) -> JSONValue {
        var operation = JSONObject()
        operation["operationId"] = .string(operationID(route))
        operation["summary"] = .string(route.summary)
        operation["tags"] = [.string(tag(route))]
        if route.permission == .open {
            operation["security"] = []
        } else {
            operation["description"] = .string(admits(route))
        }
        let parameters = parameters(route)
        if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
        if let body = route.shape.body {
            operation["requestBody"] = [
                "required": .bool(route.shape.isBodyRequired),
                "content": .object(JSONObject([.init(name: route.shape.bodyType, value: ["schema": body])])),
            ]
        }
        operation["responses"] = responses(route)
        return .object(operation)
    }

    private func admits(_ route: Route) -> String {
        guard case .roles(let roles) = route.permission else { return "" }
        return "Admits: \(roles.map(\.rawValue).sorted().joined(separator: ", "))."
    }

    private func tag(_ route: Route) -> String {
        let parts = route.path.split(separator: "/")
        return String(parts.count > 2 && parts[0] == "api" ? parts[2] : parts.first ?? "root")
    }

    private func operationID(_ route: Route) -> String {
        let words = route.path.split(separator: "/").map { $0.filter { $0.isLetter || $0.isNumber } }
        return ([route.method.rawValue.lowercased()] + words).joined(separator: "_")
    }

    private func parameters(_ route: Route) -> [JSONValue] {
        let inPath: [JSONValue] = route.placeholders.map { name in
            ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string", "minLength": 1]]
        }
        let inQuery: [JSONValue] = route.shape.query.map { parameter in
            [
                "name": .string(parameter.name), "in": "query", "schema": parameter.schema,
                "description": .string(parameter.summary),
            ]
        }
        return inPath + inQuery
    }

    private func responses(_ route: Route) -> JSONValue {
        var responses = JSONObject()
        var contents = JSONObject()
        contents.append(route.shape.contentType, ["schema": route.shape.reply ?? [:]])
        for type in route.shape.otherTypes { contents.append(type, ["schema": ["type": "string"]]) }
        let content = JSONValue.object(contents)
        // What is made may also be there already, and is returned then.
        let successes =
            route.shape.success == 201 ? [200, 201] : route.method == .post ? [200, 201, 204] : [200, 204]
        for status in Set(successes + [route.shape.success]).sorted() {
            responses[String(status)] =
                status == 204 ? ["description": "Done"] : ["description": "Done", "content": content]
        }
        let problem: JSONValue = ["application/problem+json": ["schema": RouteShape.ref("Problem")]]
        // Doors of other protocols refuse in their own words.
        let ofOthers: JSONValue = ["application/json": ["schema": ["type": ["object", "string"]]]]
        responses["4XX"] = [
            "description": "Refused: the problem says what to do next",
            "content": route.refusal == nil ? problem : ofOthers,
        ]
        responses["5XX"] = responses["4XX"]
        return .object(responses)
    }
}
