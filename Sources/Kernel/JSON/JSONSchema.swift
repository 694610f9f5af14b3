extension ProblemCode {
    /// A JSON Schema that is none, or that asks for what Reeve does not do.
    public static let invalidSchema = ProblemCode("invalid_schema", 422, "The JSON Schema is not acceptable")
}

/// A compiled JSON Schema: draft 2020-12, draft-07 where `$schema` says so, and both readings of `items` where it says
/// nothing.
///
/// Schemas and documents come from outside, so every part is bounded. Compiling refuses a loop of `$ref` that never
/// descends into the document, references out of the schema, `$dynamicRef`, and patterns that cannot be matched in
/// bounded time (see ``BoundedPattern``). Validating stops after ``stepsMax`` steps, at ``depthMax`` applications
/// within each other, and at ``violationsMax`` violations; running out of steps is a violation, never a pass. Known
/// formats are asserted, unknown ones ignored, as are unknown keywords.
public struct JSONSchema: Sendable {
    /// Violations that one validation reports.
    public static let violationsMax = 20
    /// Steps of one validation: one for each application of a schema, keyword, member, and state of a pattern.
    public static let stepsMax = 20_000_000
    /// Applications of schemas within each other; so many take less than 3 MiB of stack in a debug build.
    public static let depthMax = 700
    /// Subschemas of one schema.
    public static let subschemasMax = 5_000
    /// Instructions of all patterns of one schema together.
    public static let patternInstructionsMax = 100_000
    /// Values in a schema's document.
    public static let valuesMax = 50_000

    /// One way in which a document does not match.
    public struct Violation: Sendable, Equatable, JSONConvertible {
        /// A JSON Pointer (RFC 6901) into the document; empty for the document itself.
        public let path: String
        /// The schema's keyword that is not satisfied, such as `required`; `limit` where a bound was reached.
        public let keyword: String
        /// What is expected and what is there, as a sentence.
        public let sentence: String

        public var json: JSONValue {
            ["path": .string(path), "keyword": .string(keyword), "sentence": .string(sentence)]
        }
    }

    let nodes: [JSONSchemaNode]
    let root: Int
    /// Whether any keyword asks what others have evaluated; only then is it kept.
    let tracksEvaluation: Bool

    /// - Parameters:
    ///   - document: The schema: an object, `true` or `false`.
    ///   - field: The name of the field that it came in, which begins the path in an error.
    /// - Throws: ``Problem`` `invalid_schema` with the path of what is wrong.
    public init(_ document: JSONValue, field: String = "schema") throws {
        var compiler = try JSONSchemaCompiler(document, field: field)
        root = try compiler.compileAll()
        nodes = compiler.nodes
        tracksEvaluation = compiler.tracksEvaluation
    }

    /// All that is wrong with `document`, up to the bounds; empty where it matches.
    ///
    /// May take a second for a hostile pair of schema and document, so never call it inside of a transaction.
    public func validate(_ document: JSONValue, stepsMax: Int = JSONSchema.stepsMax) -> [Violation] {
        var run = JSONSchemaRun(self, stepsMax: stepsMax)
        return run.run(document)
    }

    /// Throws `schema_violation` unless `document` matches; the member `violations` lists what is wrong.
    public func check(_ document: JSONValue, field: String = "content") throws {
        let violations = validate(document)
        guard let first = violations.first else { return }
        let more = violations.count > 1 ? " \(violations.count - 1) more violations follow." : ""
        let place = first.path.isEmpty ? "The document" : first.path
        throw Problem(
            .schemaViolation, "\(place): \(first.sentence)\(more)",
            hint: "Correct what `violations` lists, then send the whole document again.", field: field + first.path,
            members: JSONObject([.init(name: "violations", value: .list(violations))]))
    }
}

/// One compiled subschema; others are named by their index.
struct JSONSchemaNode: Sendable {
    /// `false` for the schema `false`, which nothing matches.
    var isSatisfiable = true
    var keywords: [JSONSchemaKeyword] = []
}

/// A compiled assertion or applicator. Members that work together, such as `properties` and `additionalProperties`,
/// are one.
enum JSONSchemaKeyword: Sendable {
    case type(Set<JSONSchemaType>, words: String)
    /// Values in their canonical bytes; `words` lists them for the message.
    case oneOfValues(Set<[UInt8]>, words: String, keyword: String)
    /// `isLower` for a minimum; the bound itself counts unless `isExclusive`.
    case bound(JSONValue, isLower: Bool, isExclusive: Bool)
    case multipleOf(ExactDecimal, words: String)
    case length(Int, isLower: Bool)
    case pattern(BoundedPattern)
    case format(JSONSchemaFormat)
    case itemCount(Int, isLower: Bool)
    case uniqueItems
    case items(prefix: [Int], rest: Int?, keyword: String)
    case contains(Int, min: Int, max: Int?)
    case unevaluatedItems(Int)
    case propertyCount(Int, isLower: Bool)
    case required([String])
    case dependentRequired([(name: String, required: [String])])
    case properties(named: [String: Int], patterns: [(pattern: BoundedPattern, node: Int)], rest: Int?)
    case propertyNames(Int)
    case dependentSchemas([(name: String, node: Int)])
    case unevaluatedProperties(Int)
    case allOf([Int])
    case anyOf([Int])
    case oneOf([Int])
    case not(Int)
    case conditional(test: Int, then: Int?, otherwise: Int?)
    case reference(Int)

    /// The subschemas that are applied to the same place of the document.
    var inPlace: [Int] {
        switch self {
        case .allOf(let nodes), .anyOf(let nodes), .oneOf(let nodes): nodes
        case .not(let node), .reference(let node): [node]
        case .conditional(let test, let then, let otherwise): [test] + [then, otherwise].compactMap { $0 }
        case .dependentSchemas(let pairs): pairs.map(\.node)
        default: []
        }
    }

    /// Those that ask what the others have evaluated come last.
    var isLast: Bool {
        switch self {
        case .unevaluatedItems, .unevaluatedProperties: true
        default: false
        }
    }
}

/// The words of the keyword `type`.
enum JSONSchemaType: String, Sendable, CaseIterable {
    case null
    case boolean
    case integer
    case number
    case string
    case array
    case object

    func matches(_ value: JSONValue) -> Bool {
        switch (self, value) {
        case (.null, .null), (.boolean, .bool), (.string, .string), (.array, .array), (.object, .object): true
        case (.number, .int), (.number, .double), (.integer, .int): true
        case (.integer, .double(let number)): number.rounded() == number
        default: false
        }
    }
}
