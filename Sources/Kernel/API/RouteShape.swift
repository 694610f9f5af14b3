extension RouteShape {
    /// A reference to a schema that a feature names in its `schemas`.
    public static func ref(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }

    /// A page of a list.
    public static func list(
        _ item: String, query: [(name: String, schema: JSONValue, summary: String)] = []
    ) -> RouteShape { list(of: ref(item), query: query) }

    /// A page of a list whose items have a schema that stands nowhere else.
    public static func list(
        of item: JSONValue, query: [(name: String, schema: JSONValue, summary: String)] = []
    ) -> RouteShape {
        let paging: [(name: String, schema: JSONValue, summary: String)] = [
            ("limit", ["type": "integer", "minimum": 1], "Rows of the page; clamped to the page limit"),
            ("after", ["type": "string"], "The cursor that the last page ended with"),
        ]
        let reply: JSONValue = [
            "type": "object", "required": ["items", "next"],
            "properties": [
                "items": ["type": "array", "items": item], "next": ["type": ["string", "null"]],
            ],
        ]
        return RouteShape(query: query + paging, reply: reply)
    }

    /// One noun, with a body where one is taken. An empty name means any object.
    public static func one(
        _ reply: String, body: String? = nil, isBodyRequired: Bool = true, success: Int = 200,
        query: [(name: String, schema: JSONValue, summary: String)] = []
    ) -> RouteShape {
        RouteShape(
            query: query, body: body.map { $0.isEmpty ? ["type": "object"] : ref($0) },
            isBodyRequired: body != nil && isBodyRequired, success: success,
            reply: reply.isEmpty ? ["type": "object"] : ref(reply))
    }
}
