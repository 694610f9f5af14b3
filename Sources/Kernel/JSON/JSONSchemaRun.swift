/// One validation in progress.
struct JSONSchemaRun {
    private enum Step {
        case name(String)
        case index(Int)
    }

    private let nodes: [JSONSchemaNode]
    private let root: Int
    private let tracksEvaluation: Bool
    private var stepsLeft: Int
    private var depth = 0
    private var path: [Step] = []
    private var violations: [JSONSchema.Violation] = []
    /// Above zero where only the outcome counts: in `not`, `if` and `contains`.
    private var quiet = 0
    private var exhaustion: String?

    init(_ schema: JSONSchema, stepsMax: Int) {
        nodes = schema.nodes
        root = schema.root
        tracksEvaluation = schema.tracksEvaluation
        stepsLeft = stepsMax
    }

    mutating func run(_ document: JSONValue) -> [JSONSchema.Violation] {
        var evaluated = JSONSchemaEvaluated()
        let isValid = check(root, document, &evaluated)
        // A `not` turns a check that was given up into a pass, so this counts before the outcome.
        if let exhaustion { return [.init(path: "", keyword: "limit", sentence: exhaustion)] }
        if isValid { return [] }
        if violations.isEmpty { report("", "It does not match the schema.") }
        return violations
    }

    // MARK: Bounds and reports

    private mutating func spend(_ steps: Int) -> Bool {
        stepsLeft -= steps
        if stepsLeft < 0, exhaustion == nil {
            exhaustion = "The check took more steps than one may take; the document or its schema is too large."
        }
        return exhaustion == nil
    }

    private var isFull: Bool { violations.count >= JSONSchema.violationsMax }

    private mutating func report(_ keyword: String, _ sentence: @autoclosure () -> String) {
        guard quiet == 0, !isFull else { return }
        let pointer = path.map { step in
            switch step {
            case .name(let name): "/" + JSONSchemaPlaces.escape(name)
            case .index(let index): "/\(index)"
            }
        }
        violations.append(.init(path: pointer.joined(), keyword: keyword, sentence: sentence()))
    }

    private mutating func fail(_ keyword: String, _ sentence: @autoclosure () -> String) -> Bool {
        report(keyword, sentence())
        return false
    }

    // MARK: Applying schemas

    private mutating func check(_ node: Int, _ value: JSONValue, _ evaluated: inout JSONSchemaEvaluated) -> Bool {
        guard spend(1 + nodes[node].keywords.count) else { return false }
        guard nodes[node].isSatisfiable else { return fail("false", "Nothing is allowed here.") }
        guard depth < JSONSchema.depthMax else {
            exhaustion = "The document and its schema are nested too deeply within each other."
            return false
        }
        depth += 1
        defer { depth -= 1 }
        var isValid = true
        for keyword in nodes[node].keywords {
            guard apply(keyword, value, &evaluated) else {
                isValid = false
                if quiet > 0 || isFull || exhaustion != nil { return false }
                continue
            }
        }
        return isValid
    }

    /// Checks a member or an item, whose evaluations are its own.
    private mutating func descend(_ step: Step, _ node: Int, _ value: JSONValue) -> Bool {
        path.append(step)
        defer { path.removeLast() }
        var own = JSONSchemaEvaluated()
        return check(node, value, &own)
    }

    /// Whether a schema matches, without a report.
    private mutating func matches(
        _ node: Int, _ value: JSONValue, _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        quiet += 1
        defer { quiet -= 1 }
        var own = JSONSchemaEvaluated()
        guard check(node, value, &own) else { return false }
        if tracksEvaluation { evaluated.merge(own) }
        return true
    }

    private mutating func apply(
        _ keyword: JSONSchemaKeyword, _ value: JSONValue, _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        switch keyword {
        case .type, .oneOfValues, .bound, .multipleOf, .length, .pattern, .format, .itemCount, .uniqueItems,
            .propertyCount, .required, .dependentRequired:
            return assert(keyword, value)
        case .items, .contains, .unevaluatedItems:
            guard case .array(let values) = value else { return true }
            return applyToItems(keyword, values, &evaluated)
        case .properties, .propertyNames, .unevaluatedProperties, .dependentSchemas:
            guard case .object(let object) = value else { return true }
            return applyToMembers(keyword, object, &evaluated)
        case .reference(let node): return inPlace(node, value, &evaluated)
        case .allOf(let nodes):
            var isValid = true
            for node in nodes where !inPlace(node, value, &evaluated) { isValid = false }
            return isValid
        case .anyOf(let nodes): return anyOf(nodes, value, &evaluated)
        case .oneOf(let nodes): return oneOf(nodes, value, &evaluated)
        case .not(let node):
            var ignored = JSONSchemaEvaluated()
            return matches(node, value, &ignored) ? fail("not", "It matches what it must not match.") : true
        case .conditional(let test, let then, let otherwise):
            let branch = matches(test, value, &evaluated) ? then : otherwise
            return branch.map { inPlace($0, value, &evaluated) } ?? true
        }
    }

    private mutating func inPlace(
        _ node: Int, _ value: JSONValue, _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        var own = JSONSchemaEvaluated()
        guard check(node, value, &own) else { return false }
        if tracksEvaluation { evaluated.merge(own) }
        return true
    }

    /// Runs each branch once with a report of its own; of those that fail, the one that came furthest is told.
    private mutating func anyOf(
        _ branches: [Int], _ value: JSONValue, _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        let (matching, nearest) = tryBranches(branches, value, &evaluated, stopAt: tracksEvaluation ? .max : 1)
        if matching > 0 { return true }
        return fail("anyOf", "It matches none of the \(branches.count) allowed forms\(Self.words(nearest)).")
    }

    private mutating func oneOf(
        _ branches: [Int], _ value: JSONValue, _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        var own = JSONSchemaEvaluated()
        let (matching, nearest) = tryBranches(branches, value, &own, stopAt: 2)
        switch matching {
        case 0: return fail("oneOf", "It matches none of the \(branches.count) allowed forms\(Self.words(nearest)).")
        case 1:
            if tracksEvaluation { evaluated.merge(own) }
            return true
        default: return fail("oneOf", "It matches more than one of the \(branches.count) forms, where only one may.")
        }
    }

    private mutating func tryBranches(
        _ branches: [Int], _ value: JSONValue, _ evaluated: inout JSONSchemaEvaluated, stopAt: Int
    ) -> (matching: Int, nearest: JSONSchema.Violation?) {
        let kept = violations
        defer { violations = kept }
        var matching = 0
        var nearest: JSONSchema.Violation?
        for branch in branches {
            violations = []
            if inPlace(branch, value, &evaluated) {
                matching += 1
                if matching >= stopAt { break }
            } else if let first = violations.first, nearest.map({ $0.path.count < first.path.count }) ?? true {
                nearest = first
            }
            if exhaustion != nil { break }
        }
        return (matching, nearest)
    }

    private static func words(_ nearest: JSONSchema.Violation?) -> String {
        guard let nearest else { return "" }
        let place = nearest.path.isEmpty ? "" : "at \(nearest.path): "
        return "; the nearest one fails \(place)" + nearest.sentence.prefix(300).trimmingSuffix(".")
    }
}

extension Substring {
    fileprivate func trimmingSuffix(_ suffix: Character) -> Substring { last == suffix ? dropLast() : self }
}

/// Members and items of one place that some keyword has looked at, for `unevaluatedProperties` and its kin.
struct JSONSchemaEvaluated {
    var hasAllMembers = false
    var members: Set<String> = []
    var hasAllItems = false
    /// Items below this index.
    var itemsBelow = 0
    var items: Set<Int> = []

    mutating func merge(_ other: JSONSchemaEvaluated) {
        hasAllMembers = hasAllMembers || other.hasAllMembers
        members.formUnion(other.members)
        hasAllItems = hasAllItems || other.hasAllItems
        itemsBelow = max(itemsBelow, other.itemsBelow)
        items.formUnion(other.items)
    }
}

// MARK: Arrays and objects

extension JSONSchemaRun {
    private mutating func applyToItems(
        _ keyword: JSONSchemaKeyword, _ values: [JSONValue], _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        var isValid = true
        switch keyword {
        case .items(let prefix, let rest, let name):
            for (index, value) in values.enumerated() {
                guard index < prefix.count || rest != nil, let node = index < prefix.count ? prefix[index] : rest else {
                    break
                }
                if index >= prefix.count, !nodes[node].isSatisfiable {
                    return fail(name, "At most \(prefix.count) items are allowed, not \(values.count).")
                }
                if !descend(.index(index), node, value) { isValid = false }
                if !isValid, quiet > 0 || isFull || exhaustion != nil { return false }
            }
            evaluated.itemsBelow = max(evaluated.itemsBelow, prefix.count)
            if rest != nil { evaluated.hasAllItems = true }
        case .contains(let node, let min, let max):
            return contains(node, values, min: min, max: max, &evaluated)
        case .unevaluatedItems(let node):
            if evaluated.hasAllItems { return true }
            for (index, value) in values.enumerated()
            where index >= evaluated.itemsBelow && !evaluated.items.contains(index) {
                guard nodes[node].isSatisfiable else {
                    path.append(.index(index))
                    report("unevaluatedItems", "This item is allowed by no part of the schema.")
                    path.removeLast()
                    isValid = false
                    if quiet > 0 || isFull { return false }
                    continue
                }
                if !descend(.index(index), node, value) { isValid = false }
                if exhaustion != nil { return false }
            }
            evaluated.hasAllItems = true
        default: break
        }
        return isValid
    }

    private mutating func contains(
        _ node: Int, _ values: [JSONValue], min: Int, max: Int?, _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        var count = 0
        for (index, value) in values.enumerated() {
            quiet += 1
            let isMatch = descend(.index(index), node, value)
            quiet -= 1
            if exhaustion != nil { return false }
            guard isMatch else { continue }
            count += 1
            if tracksEvaluation { evaluated.items.insert(index) }
        }
        if count < min {
            return fail("contains", "At least \(min) matching items are expected, and \(count) are there.")
        }
        if let max, count > max {
            return fail("maxContains", "At most \(max) matching items are allowed, and \(count) are there.")
        }
        return true
    }

    private mutating func applyToMembers(
        _ keyword: JSONSchemaKeyword, _ object: JSONObject, _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        switch keyword {
        case .properties(let named, let patterns, let rest):
            return properties(object, named: named, patterns: patterns, rest: rest, &evaluated)
        case .propertyNames(let node):
            var isValid = true
            for member in object.members where exhaustion == nil {
                if !descend(.name(member.name), node, .string(member.name)) { isValid = false }
                if !isValid, quiet > 0 || isFull { return false }
            }
            return isValid
        case .unevaluatedProperties(let node):
            if evaluated.hasAllMembers { return true }
            var isValid = true
            for member in object.members where !evaluated.members.contains(member.name) && exhaustion == nil {
                if !extra(member, node, "unevaluatedProperties") { isValid = false }
                if !isValid, quiet > 0 || isFull { return false }
            }
            evaluated.hasAllMembers = true
            return isValid
        case .dependentSchemas(let pairs):
            var isValid = true
            for pair in pairs where object[pair.name] != nil {
                if !spend(object.count) || !inPlace(pair.node, .object(object), &evaluated) { isValid = false }
            }
            return isValid
        default: return true
        }
    }

    private mutating func properties(
        _ object: JSONObject, named: [String: Int], patterns: [(pattern: BoundedPattern, node: Int)], rest: Int?,
        _ evaluated: inout JSONSchemaEvaluated
    ) -> Bool {
        var isValid = true
        for member in object.members {
            guard spend(1) else { return false }
            var isKnown = false
            if let node = named[member.name] {
                isKnown = true
                if !descend(.name(member.name), node, member.value) { isValid = false }
            }
            for each in patterns where exhaustion == nil && isFound(each.pattern, in: member.name) {
                isKnown = true
                if !descend(.name(member.name), each.node, member.value) { isValid = false }
            }
            if !isKnown, let rest {
                isKnown = true
                if !extra(member, rest, "additionalProperties") { isValid = false }
            }
            if tracksEvaluation, isKnown { evaluated.members.insert(member.name) }
            if exhaustion != nil || (!isValid && (quiet > 0 || isFull)) { return false }
        }
        return isValid
    }

    /// A member that no name or pattern covers; where none is allowed, the message says so rather than "nothing here".
    private mutating func extra(_ member: JSONObject.Member, _ node: Int, _ keyword: String) -> Bool {
        guard !nodes[node].isSatisfiable else { return descend(.name(member.name), node, member.value) }
        path.append(.name(member.name))
        defer { path.removeLast() }
        return fail(keyword, "The member \"\(member.name.prefix(80))\" is not among those allowed.")
    }

    private mutating func isFound(_ pattern: BoundedPattern, in text: String) -> Bool {
        let found = pattern.isFound(in: text, stepsLeft: &stepsLeft)
        return spend(0) && found
    }
}

// MARK: Assertions

extension JSONSchemaRun {
    private mutating func assert(_ keyword: JSONSchemaKeyword, _ value: JSONValue) -> Bool {
        switch (keyword, value) {
        case (.type(let types, let words), _):
            if types.contains(where: { $0.matches(value) }) { return true }
            return fail("type", "It must be of type \(words), not \(value.typeName).")
        case (.oneOfValues(let values, let words, let name), _):
            let bytes = value.canonicalBytes
            guard spend(bytes.count / 2) else { return false }
            if values.contains(bytes) { return true }
            return fail(name, name == "const" ? "It must be \(words)." : "It must be one of: \(words).")
        case (.bound, .int), (.bound, .double), (.multipleOf, .int), (.multipleOf, .double):
            return assertNumber(keyword, value)
        case (.length, .string(let text)), (.pattern, .string(let text)), (.format, .string(let text)):
            return assertText(keyword, text)
        case (.itemCount(let count, let isLower), .array(let values)):
            return assertCount(values.count, count, isLower, ("minItems", "maxItems"), "items")
        case (.uniqueItems, .array(let values)): return assertUnique(values)
        case (.propertyCount(let count, let isLower), .object(let object)):
            return assertCount(object.count, count, isLower, ("minProperties", "maxProperties"), "members")
        case (.required(let names), .object(let object)): return assertRequired(names, object, "required", because: nil)
        case (.dependentRequired(let pairs), .object(let object)):
            var isValid = true
            for pair in pairs where spend(object.count / 16) && object[pair.name] != nil {
                if !assertRequired(pair.required, object, "dependentRequired", because: pair.name) { isValid = false }
            }
            return isValid
        default: return true
        }
    }

    private mutating func assertNumber(_ keyword: JSONSchemaKeyword, _ value: JSONValue) -> Bool {
        switch keyword {
        case .bound(let bound, let isLower, let isExclusive):
            guard let order = JSONValue.compare(value, bound) else { return true }
            if isLower ? (order > 0 || (order == 0 && !isExclusive)) : (order < 0 || (order == 0 && !isExclusive)) {
                return true
            }
            let name =
                isLower
                ? (isExclusive ? "exclusiveMinimum" : "minimum")
                : (isExclusive ? "exclusiveMaximum" : "maximum")
            let words = isExclusive ? (isLower ? "above" : "below") : (isLower ? "at least" : "at most")
            return fail(name, "A number \(words) \(bound.text) is expected, not \(value.text).")
        case .multipleOf(let divisor, let words):
            if ExactDecimal(value)?.isMultiple(of: divisor) == true { return true }
            return fail("multipleOf", "A multiple of \(words) is expected, not \(value.text).")
        default: return true
        }
    }

    private mutating func assertText(_ keyword: JSONSchemaKeyword, _ text: String) -> Bool {
        switch keyword {
        case .length(let count, let isLower):
            // Code points, as the specification has it, not what a reader sees as characters.
            guard spend(text.utf8.count / 64) else { return false }
            return assertCount(text.unicodeScalars.count, count, isLower, ("minLength", "maxLength"), "characters")
        case .pattern(let pattern):
            if isFound(pattern, in: text) { return true }
            if exhaustion != nil { return false }
            return fail("pattern", "It must match the pattern \(pattern.text.prefix(200)).")
        case .format(let format):
            guard spend(text.utf8.count / 16) else { return false }
            return format.matches(text) ? true : fail("format", "It is no \(format.rawValue).")
        default: return true
        }
    }

    private mutating func assertCount(
        _ found: Int, _ bound: Int, _ isLower: Bool, _ names: (String, String), _ noun: String
    ) -> Bool {
        if isLower ? found >= bound : found <= bound { return true }
        let words = isLower ? "At least \(bound) \(noun) are expected" : "At most \(bound) \(noun) are allowed"
        return fail(isLower ? names.0 : names.1, "\(words), not \(found).")
    }

    private mutating func assertUnique(_ values: [JSONValue]) -> Bool {
        var seen: [[UInt8]: Int] = [:]
        for (index, value) in values.enumerated() {
            let bytes = value.canonicalBytes
            guard spend(1 + bytes.count / 2) else { return false }
            if let earlier = seen.updateValue(index, forKey: bytes) {
                return fail("uniqueItems", "The items \(earlier) and \(index) are equal, where all must differ.")
            }
        }
        return true
    }

    private mutating func assertRequired(
        _ names: [String], _ object: JSONObject, _ keyword: String, because: String?
    ) -> Bool {
        guard spend(names.count + object.count / 16) else { return false }
        let present = Set(object.names)
        let missing = names.filter { !present.contains($0) }
        guard !missing.isEmpty else { return true }
        let words = missing.prefix(10).map { "\"\($0.prefix(80))\"" }.joined(separator: ", ")
        let reason = because.map { " as \"\($0.prefix(80))\" is there" } ?? ""
        return fail(keyword, "The member\(missing.count > 1 ? "s" : "") \(words) must be there\(reason).")
    }
}
