/// Turns a schema document into nodes, refusing what is not a schema.
struct JSONSchemaCompiler {
    private(set) var nodes: [JSONSchemaNode] = []
    private(set) var tracksEvaluation = false
    let dialect: JSONSchemaDialect
    private let document: JSONValue
    private let field: String
    private var references: JSONSchemaReferences
    private var patternInstructions = 0
    private var indexes: [String: Int] = [:]
    private var waiting: [(object: JSONObject, pointer: String, index: Int)] = []

    init(_ document: JSONValue, field: String) throws {
        self.document = document
        self.field = field
        let stated = document["$schema"]
        guard stated == nil || stated?.string != nil, let dialect = JSONSchemaDialect(stated?.string) else {
            throw Problem(
                .invalidSchema, "\(field)/$schema: Reeve does not know the draft \(stated?.text.prefix(100) ?? "").",
                hint: "Write the schema in draft 2020-12 or draft-07, or leave $schema out.", field: field + "/$schema")
        }
        var count = 0
        guard Self.isCountable(document, &count) else {
            throw Problem(
                .invalidSchema, "\(field): it has more than \(JSONSchema.valuesMax) values.",
                hint: "Split the schema into smaller ones.", field: field)
        }
        self.dialect = dialect
        references = JSONSchemaReferences(document, dialect: dialect)
    }

    /// Compiles the document and all it refers to; returns the index of the document itself.
    mutating func compileAll() throws -> Int {
        let root = try compile(document, at: "")
        try compileWaiting()
        try refuseLoops()
        return root
    }

    private static func isCountable(_ value: JSONValue, _ count: inout Int) -> Bool {
        count += 1
        guard count <= JSONSchema.valuesMax else { return false }
        switch value {
        case .array(let values):
            for value in values where !isCountable(value, &count) { return false }
        case .object(let object):
            for member in object.members where !isCountable(member.value, &count) { return false }
        default: break
        }
        return true
    }

    func refusal(_ pointer: String, _ sentence: String, hint: String = "") -> Problem {
        Problem(.invalidSchema, "\(field)\(pointer): \(sentence)", hint: hint, field: field + pointer)
    }

    /// The index of the subschema at a pointer. It is compiled once, later: what waits is in a list rather than on the
    /// stack, as a chain of `$ref` may be as long as the schema.
    mutating func compile(_ schema: JSONValue, at pointer: String) throws -> Int {
        if let index = indexes[pointer] { return index }
        guard nodes.count < JSONSchema.subschemasMax else {
            throw refusal("", "it has more than \(JSONSchema.subschemasMax) subschemas", hint: "Make it smaller.")
        }
        let index = nodes.count
        indexes[pointer] = index
        switch schema {
        case .bool(let value): nodes.append(JSONSchemaNode(isSatisfiable: value))
        case .object(let object):
            nodes.append(JSONSchemaNode())
            waiting.append((object, pointer, index))
        default: throw refusal(pointer, "a schema is expected, an object or true or false, not \(schema.typeName)")
        }
        return index
    }

    private mutating func compileWaiting() throws {
        while let (object, pointer, index) = waiting.popLast() {
            references.scan(.object(object), at: pointer, base: references.base(above: pointer))
            let keywords = try self.keywords(of: object, at: pointer)
            nodes[index].keywords = keywords.filter { !$0.isLast } + keywords.filter(\.isLast)
        }
    }

    private mutating func keywords(of object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        let own = try assertions(of: object, at: pointer) + applicators(of: object, at: pointer)
        guard let value = object["$ref"] else { return own }
        let reference = try self.reference(value, at: pointer)
        // Up to draft-07, whatever stands beside $ref is judged as a schema but does not count.
        return dialect == .draft7 ? [reference] : [reference] + own
    }

    private mutating func reference(_ value: JSONValue, at pointer: String) throws -> JSONSchemaKeyword {
        guard let text = value.string else { throw refusal(pointer + "/$ref", "a string is expected") }
        let base = references.bases[pointer] ?? references.base(above: pointer)
        guard let target = references.resolve(text, base: base), let schema = references.value(at: target) else {
            throw refusal(
                pointer + "/$ref", "\"\(text.prefix(100))\" leads to nothing in this schema",
                hint: "Put what it refers to below $defs, and write #/$defs/name; other documents are not fetched.")
        }
        return .reference(try compile(schema, at: target))
    }

    mutating func compileDefinitions(of object: JSONObject, at pointer: String) throws {
        for name in ["$defs", "definitions"] {
            guard let value = object[name] else { continue }
            guard let members = value.object else { throw refusal("\(pointer)/\(name)", "an object is expected") }
            for member in members.members {
                let path = "\(pointer)/\(name)/\(JSONSchemaPlaces.escape(member.name))"
                _ = try compile(member.value, at: path)
            }
        }
    }

    mutating func child(_ object: JSONObject, _ name: String, at pointer: String) throws -> Int? {
        guard let value = object[name] else { return nil }
        return try compile(value, at: "\(pointer)/\(name)")
    }

    /// Subschemas in a list; `isEmptyAllowed` is false for `allOf` and its kin, which need one.
    mutating func children(_ object: JSONObject, _ name: String, at pointer: String) throws -> [Int]? {
        guard let value = object[name] else { return nil }
        guard let values = value.array, !values.isEmpty else {
            throw refusal("\(pointer)/\(name)", "a list of one or more schemas is expected")
        }
        return try values.enumerated().map { try compile($1, at: "\(pointer)/\(name)/\($0)") }
    }

    mutating func namedChildren(
        _ object: JSONObject, _ name: String, at pointer: String
    ) throws -> [(name: String, node: Int)]? {
        guard let value = object[name] else { return nil }
        guard let members = value.object else { throw refusal("\(pointer)/\(name)", "an object is expected") }
        return try members.members.map { member in
            (member.name, try compile(member.value, at: "\(pointer)/\(name)/\(JSONSchemaPlaces.escape(member.name))"))
        }
    }

    mutating func count(_ pattern: BoundedPattern, at pointer: String) throws {
        patternInstructions += pattern.instructions
        guard patternInstructions <= JSONSchema.patternInstructionsMax else {
            throw refusal(pointer, "the schema's patterns are too large together", hint: "Repeat fewer times in them.")
        }
    }

    mutating func startTracking() { tracksEvaluation = true }

    /// A subschema that leads to itself without a step into the document would never end; it is refused here, so that
    /// validation recurses no deeper than the document allows.
    private func refuseLoops() throws {
        var isDone = [Bool](repeating: false, count: nodes.count)
        var isOpen = isDone
        let pointers = Dictionary(uniqueKeysWithValues: indexes.map { ($0.value, $0.key) })
        for start in nodes.indices where !isDone[start] {
            var stack: [(node: Int, rest: [Int])] = [(start, nodes[start].keywords.flatMap(\.inPlace))]
            isOpen[start] = true
            while let top = stack.last {
                guard let next = top.rest.last else {
                    isDone[top.node] = true
                    isOpen[top.node] = false
                    stack.removeLast()
                    continue
                }
                stack[stack.count - 1].rest.removeLast()
                if isOpen[next] {
                    throw refusal(
                        pointers[next] ?? "", "it leads back to itself without a step into the document",
                        hint: "Put `properties`, `items` or the like between a schema and the $ref to it.")
                }
                if isDone[next] { continue }
                isOpen[next] = true
                stack.append((next, nodes[next].keywords.flatMap(\.inPlace)))
            }
        }
    }
}
