/// The keywords one by one: what each takes, and what it becomes.
extension JSONSchemaCompiler {
    /// Keywords that judge a value by itself.
    mutating func assertions(of object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        for name in ["$id", "$anchor", "$comment", "title", "description", "$schema"] {
            if let value = object[name], value.string == nil {
                throw refusal("\(pointer)/\(name)", "a string is expected, not \(value.typeName)")
            }
        }
        for name in ["$anchor", "$dynamicAnchor"] where dialect != .draft7 {
            if let value = object[name], !Self.isAnchor(value) {
                throw refusal("\(pointer)/\(name)", "a letter or _ is expected, then letters, digits, -, _ and .")
            }
        }
        for name in ["$dynamicRef", "$recursiveRef"] where object[name] != nil && dialect != .draft7 {
            throw refusal("\(pointer)/\(name)", "Reeve does not follow \(name)", hint: "Use $ref.")
        }
        var keywords: [JSONSchemaKeyword] = []
        if let value = object["type"] { keywords.append(try type(value, at: pointer + "/type")) }
        if let value = object["enum"] {
            guard let values = value.array else { throw refusal(pointer + "/enum", "a list is expected") }
            keywords.append(Self.values(values, keyword: "enum"))
        }
        if let value = object["const"] { keywords.append(Self.values([value], keyword: "const")) }
        keywords += try numeric(object, at: pointer)
        keywords += try counts(object, at: pointer)
        if let value = object["uniqueItems"] {
            guard let isUnique = value.bool else {
                throw refusal(pointer + "/uniqueItems", "true or false is expected")
            }
            if isUnique { keywords.append(.uniqueItems) }
        }
        if let value = object["pattern"] {
            keywords.append(.pattern(try pattern(value.string, at: pointer + "/pattern")))
        }
        if let value = object["format"] {
            guard let name = value.string else { throw refusal(pointer + "/format", "a string is expected") }
            if let format = JSONSchemaFormat(rawValue: name) { keywords.append(.format(format)) }
        }
        if let value = object["required"] {
            let names = try self.names(value, at: pointer + "/required")
            if !names.isEmpty { keywords.append(.required(names)) }
        }
        return keywords
    }

    private static func isAnchor(_ value: JSONValue) -> Bool {
        guard let text = value.string, let first = text.unicodeScalars.first else { return false }
        return first.isASCII && (first == "_" || first.properties.isAlphabetic)
            && text.unicodeScalars.allSatisfy { PatternSet.words.contains($0) || $0 == "-" || $0 == "." }
    }

    private func type(_ value: JSONValue, at pointer: String) throws -> JSONSchemaKeyword {
        let words = value.array.map { $0.map(\.string) } ?? [value.string]
        let types = words.compactMap { $0.flatMap(JSONSchemaType.init(rawValue:)) }
        guard !types.isEmpty, types.count == words.count, Set(types).count == types.count else {
            throw refusal(
                pointer,
                "one or several of \(JSONSchemaType.allCases.map(\.rawValue).joined(separator: ", ")) "
                    + "are expected, not \(value.text.prefix(100))")
        }
        return .type(Set(types), words: types.map(\.rawValue).joined(separator: " or "))
    }

    private static func values(_ values: [JSONValue], keyword: String) -> JSONSchemaKeyword {
        var words = values.prefix(10).map { $0.text.prefix(60).description }
        if values.count > 10 { words.append("…") }
        return .oneOfValues(
            Set(values.map(\.canonicalBytes)), words: words.joined(separator: ", "), keyword: keyword)
    }

    private func numeric(_ object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        var keywords: [JSONSchemaKeyword] = []
        let bounds = [
            ("minimum", true, false), ("exclusiveMinimum", true, true), ("maximum", false, false),
            ("exclusiveMaximum", false, true),
        ]
        for (name, isLower, isExclusive) in bounds {
            guard let value = object[name] else { continue }
            guard value.double != nil else {
                throw refusal("\(pointer)/\(name)", "a number is expected, not \(value.typeName)")
            }
            keywords.append(.bound(value, isLower: isLower, isExclusive: isExclusive))
        }
        if let value = object["multipleOf"] {
            guard let number = value.double, number > 0, let divisor = ExactDecimal(value) else {
                throw refusal(pointer + "/multipleOf", "a number above zero is expected")
            }
            keywords.append(.multipleOf(divisor, words: value.text))
        }
        return keywords
    }

    private func counts(_ object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        let makers: [(String, (Int) -> JSONSchemaKeyword)] = [
            ("minLength", { .length($0, isLower: true) }), ("maxLength", { .length($0, isLower: false) }),
            ("minItems", { .itemCount($0, isLower: true) }), ("maxItems", { .itemCount($0, isLower: false) }),
            ("minProperties", { .propertyCount($0, isLower: true) }),
            ("maxProperties", { .propertyCount($0, isLower: false) }),
        ]
        return try makers.compactMap { name, make in try count(object, name, at: pointer).map(make) }
    }

    private func count(_ object: JSONObject, _ name: String, at pointer: String) throws -> Int? {
        guard let value = object[name] else { return nil }
        guard let number = value.double, number >= 0, number.rounded() == number else {
            throw refusal("\(pointer)/\(name)", "a whole number from 0 is expected, not \(value.text.prefix(40))")
        }
        return Int(exactly: number) ?? .max
    }

    private mutating func pattern(_ text: String?, at pointer: String) throws -> BoundedPattern {
        guard let text else { throw refusal(pointer, "a string is expected") }
        do {
            let pattern = try BoundedPattern(text)
            try count(pattern, at: pointer)
            return pattern
        } catch let failure as BoundedPattern.Failure {
            throw refusal(
                pointer, "the pattern is not acceptable: \(failure.reason)",
                hint: "Patterns are ECMAScript's, without lookbehind and back references.")
        }
    }

    private func names(_ value: JSONValue, at pointer: String) throws -> [String] {
        let names = value.array?.compactMap(\.string)
        guard let names, names.count == value.array?.count, Set(names).count == names.count else {
            throw refusal(pointer, "a list of different strings is expected")
        }
        return names
    }

    /// Keywords that apply other schemas.
    mutating func applicators(of object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        try compileDefinitions(of: object, at: pointer)
        var keywords = try arrays(object, at: pointer) + objects(object, at: pointer)
        if let nodes = try children(object, "allOf", at: pointer) { keywords.append(.allOf(nodes)) }
        if let nodes = try children(object, "anyOf", at: pointer) { keywords.append(.anyOf(nodes)) }
        if let nodes = try children(object, "oneOf", at: pointer) { keywords.append(.oneOf(nodes)) }
        if let node = try child(object, "not", at: pointer) { keywords.append(.not(node)) }
        let test = try child(object, "if", at: pointer)
        let then = try child(object, "then", at: pointer)
        let otherwise = try child(object, "else", at: pointer)
        if let test { keywords.append(.conditional(test: test, then: then, otherwise: otherwise)) }
        if dialect != .draft7 {
            if let node = try child(object, "unevaluatedItems", at: pointer) {
                startTracking()
                keywords.append(.unevaluatedItems(node))
            }
            if let node = try child(object, "unevaluatedProperties", at: pointer) {
                startTracking()
                keywords.append(.unevaluatedProperties(node))
            }
        }
        return keywords
    }

    private mutating func arrays(_ object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        var keywords: [JSONSchemaKeyword] = []
        // Judged wherever it stands, and applied only behind a list in `items`.
        let additional = dialect == .draft2020 ? nil : try child(object, "additionalItems", at: pointer)
        if object["items"]?.array != nil, dialect != .draft2020 {
            let prefix = object["items"]?.array?.isEmpty == true ? [] : try children(object, "items", at: pointer) ?? []
            keywords.append(.items(prefix: prefix, rest: additional, keyword: "additionalItems"))
        } else {
            let prefix = dialect == .draft7 ? [] : try children(object, "prefixItems", at: pointer) ?? []
            let rest = try child(object, "items", at: pointer)
            if !prefix.isEmpty || rest != nil { keywords.append(.items(prefix: prefix, rest: rest, keyword: "items")) }
        }
        let min = dialect == .draft7 ? nil : try count(object, "minContains", at: pointer)
        let max = dialect == .draft7 ? nil : try count(object, "maxContains", at: pointer)
        if let node = try child(object, "contains", at: pointer) {
            keywords.append(.contains(node, min: min ?? 1, max: max))
        }
        return keywords
    }

    private mutating func objects(_ object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        var keywords: [JSONSchemaKeyword] = []
        let named = try namedChildren(object, "properties", at: pointer) ?? []
        let patterns = try namedChildren(object, "patternProperties", at: pointer) ?? []
        let rest = try child(object, "additionalProperties", at: pointer)
        if !named.isEmpty || !patterns.isEmpty || rest != nil {
            let compiled = try patterns.map { each in
                let path = pointer + "/patternProperties/" + JSONSchemaPlaces.escape(each.name)
                return (pattern: try pattern(each.name, at: path), node: each.node)
            }
            let names = Dictionary(named.map { ($0.name, $0.node) }, uniquingKeysWith: { first, _ in first })
            keywords.append(.properties(named: names, patterns: compiled, rest: rest))
        }
        if let node = try child(object, "propertyNames", at: pointer) { keywords.append(.propertyNames(node)) }
        if dialect != .draft7 {
            if let value = object["dependentRequired"] {
                guard let members = value.object else {
                    throw refusal(pointer + "/dependentRequired", "an object is expected")
                }
                keywords.append(
                    .dependentRequired(
                        try members.members.map { member in
                            let path = "\(pointer)/dependentRequired/\(JSONSchemaPlaces.escape(member.name))"
                            return (name: member.name, required: try names(member.value, at: path))
                        }))
            }
            if let pairs = try namedChildren(object, "dependentSchemas", at: pointer) {
                keywords.append(.dependentSchemas(pairs))
            }
        }
        return keywords + (try dependencies(object, at: pointer))
    }

    /// The older keyword, which has lists of names and schemas side by side.
    private mutating func dependencies(_ object: JSONObject, at pointer: String) throws -> [JSONSchemaKeyword] {
        guard let value = object["dependencies"] else { return [] }
        guard let members = value.object else { throw refusal(pointer + "/dependencies", "an object is expected") }
        var keywords: [JSONSchemaKeyword] = []
        for member in members.members {
            let path = "\(pointer)/dependencies/\(JSONSchemaPlaces.escape(member.name))"
            if member.value.array != nil {
                keywords.append(.dependentRequired([(member.name, try names(member.value, at: path))]))
            } else {
                keywords.append(.dependentSchemas([(member.name, try compile(member.value, at: path))]))
            }
        }
        return keywords
    }
}
