/// Where the subschemas of one schema document are, by pointer, `$id` and `$anchor`.
struct JSONSchemaReferences {
    /// JSON Pointers of the roots of resources, by their URI without fragment. The document itself is at "".
    private var resources: [String: String] = [:]
    /// JSON Pointers by `uri#anchor`.
    private var anchors: [String: String] = [:]
    /// The URI that references at a subschema are relative to, by its pointer.
    private(set) var bases: [String: String] = [:]
    private let document: JSONValue
    private let dialect: JSONSchemaDialect

    init(_ document: JSONValue, dialect: JSONSchemaDialect) {
        self.document = document
        self.dialect = dialect
        resources[""] = ""
        scan(document, at: "", base: "")
    }

    /// Records a subschema and those below it.
    mutating func scan(_ schema: JSONValue, at pointer: String, base: String) {
        guard case .object(let object) = schema, bases[pointer] == nil else { return }
        var base = base
        let isBareReference = dialect == .draft7 && object["$ref"] != nil
        if !isBareReference, let id = object["$id"]?.string {
            let (uri, fragment) = JSONSchemaURI.split(id)
            if !uri.isEmpty {
                base = JSONSchemaURI.resolve(uri, against: base)
                if resources[base] == nil { resources[base] = pointer }
            }
            if let fragment, !fragment.isEmpty, dialect == .draft7 { add(anchor: fragment, base, pointer) }
        }
        if dialect != .draft7 {
            if let anchor = object["$anchor"]?.string { add(anchor: anchor, base, pointer) }
            if let anchor = object["$dynamicAnchor"]?.string { add(anchor: anchor, base, pointer) }
        }
        bases[pointer] = base
        for place in JSONSchemaPlaces.subschemas(of: object) {
            scan(place.schema, at: pointer + place.path, base: base)
        }
    }

    private mutating func add(anchor: String, _ base: String, _ pointer: String) {
        let name = base + "#" + anchor
        if anchors[name] == nil { anchors[name] = pointer }
    }

    /// The pointer that a reference leads to; `nil` where nothing in this document is there.
    func resolve(_ reference: String, base: String) -> String? {
        let (uri, fragment) = JSONSchemaURI.split(reference)
        let target = uri.isEmpty ? base : JSONSchemaURI.resolve(uri, against: base)
        guard let resource = resources[target] else { return nil }
        guard let fragment, !fragment.isEmpty else { return resource }
        guard let decoded = JSONSchemaURI.decode(fragment) else { return nil }
        if decoded.hasPrefix("/") { return resource + decoded }
        return anchors[target + "#" + decoded]
    }

    /// The value at a pointer of the document.
    func value(at pointer: String) -> JSONValue? {
        var value = document
        for token in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let name = JSONSchemaPlaces.unescape(token)
            switch value {
            case .object(let object):
                guard let member = object[name] else { return nil }
                value = member
            case .array(let values):
                guard let index = Int(name), values.indices.contains(index), String(index) == name else { return nil }
                value = values[index]
            default: return nil
            }
        }
        return value
    }

    /// The base of the nearest recorded place above a pointer that is not one itself.
    func base(above pointer: String) -> String {
        var pointer = pointer[...]
        while true {
            if let base = bases[String(pointer)] { return base }
            guard let slash = pointer.lastIndex(of: "/") else { return "" }
            pointer = pointer[..<slash]
        }
    }
}

/// Which drafts' rules hold.
enum JSONSchemaDialect: Sendable {
    case draft7
    case draft2020
    /// No `$schema`, or 2019-09: the rules of 2020-12, and a list in `items` means what it meant before.
    case unstated

    /// `nil` for a `$schema` that is none of those known.
    init?(_ schema: String?) {
        guard let schema else {
            self = .unstated
            return
        }
        let name = schema.hasSuffix("#") ? String(schema.dropLast()) : schema
        switch name.replacing("http://", with: "https://", maxReplacements: 1) {
        case "https://json-schema.org/draft/2020-12/schema": self = .draft2020
        case "https://json-schema.org/draft/2019-09/schema": self = .unstated
        case "https://json-schema.org/draft-07/schema", "https://json-schema.org/draft-06/schema": self = .draft7
        default: return nil
        }
    }
}

/// Where schemas stand within a schema.
enum JSONSchemaPlaces {
    private static let single: Set = [
        "additionalProperties", "additionalItems", "items", "contains", "propertyNames", "not", "if", "then", "else",
        "unevaluatedItems", "unevaluatedProperties", "contentSchema",
    ]
    private static let named: Set = [
        "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies",
    ]
    private static let listed: Set = ["prefixItems", "allOf", "anyOf", "oneOf", "items"]

    static func subschemas(of object: JSONObject) -> [(path: String, schema: JSONValue)] {
        var places: [(path: String, schema: JSONValue)] = []
        for member in object.members {
            let path = "/" + escape(member.name)
            switch member.value {
            case .object(let members) where named.contains(member.name):
                for each in members.members { places.append((path + "/" + escape(each.name), each.value)) }
            case .array(let values) where listed.contains(member.name):
                for (index, value) in values.enumerated() { places.append((path + "/\(index)", value)) }
            case .object where single.contains(member.name): places.append((path, member.value))
            default: break
            }
        }
        return places
    }

    /// A name as one step of a JSON Pointer (RFC 6901 §3).
    static func escape(_ name: String) -> String {
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") }) else { return name }
        return name.replacing("~", with: "~0").replacing("/", with: "~1")
    }

    static func unescape(_ token: some StringProtocol) -> String {
        String(token).replacing("~1", with: "/").replacing("~0", with: "~")
    }
}

/// As much of RFC 3986 as references within one document need.
enum JSONSchemaURI {
    /// The text before the first `#`, and what is behind it.
    static func split(_ text: String) -> (uri: String, fragment: String?) {
        guard let hash = text.firstIndex(of: "#") else { return (text, nil) }
        return (String(text[..<hash]), String(text[text.index(after: hash)...]))
    }

    /// RFC 3986 §5.2.2, for a reference without fragment.
    static func resolve(_ reference: String, against base: String) -> String {
        let target = Parts(reference)
        guard target.scheme == nil, !base.isEmpty else { return reference }
        var result = Parts(base)
        if target.authority != nil {
            result.authority = target.authority
            result.path = target.path
            result.query = target.query
        } else if target.path.isEmpty {
            result.query = target.query ?? result.query
        } else if target.path.hasPrefix("/") {
            result.path = target.path
            result.query = target.query
        } else {
            let folder = result.path.lastIndex(of: "/").map { result.path[...$0] }
            result.path = (folder.map(String.init) ?? (result.authority == nil ? "" : "/")) + target.path
            result.query = target.query
        }
        result.path = withoutDots(result.path)
        return result.text
    }

    /// Percent-decoding; `nil` where a `%` is not followed by two digits, or the bytes are not UTF-8.
    static func decode(_ text: String) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func withoutDots(_ path: String) -> String {
        guard path.hasPrefix("/") else { return path }
        var kept: [Substring] = []
        let steps = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for (index, step) in steps.enumerated() {
            let isLast = index == steps.count - 1
            switch step {
            case ".": if isLast { kept.append("") }
            case "..":
                _ = kept.popLast()
                if isLast { kept.append("") }
            default: kept.append(step)
            }
        }
        return "/" + kept.joined(separator: "/")
    }

    private struct Parts {
        var scheme: String?
        var authority: String?
        var path: String
        var query: String?

        init(_ text: String) {
            var rest = text[...]
            let marks = "+-."
            if let colon = rest.firstIndex(of: ":"), rest.first?.isLetter == true,
                rest[..<colon].allSatisfy({ $0.isLetter || $0.isNumber || marks.contains($0) })
            {
                scheme = String(rest[..<colon])
                rest = rest[rest.index(after: colon)...]
            }
            if let mark = rest.firstIndex(of: "?") {
                query = String(rest[rest.index(after: mark)...])
                rest = rest[..<mark]
            }
            if rest.hasPrefix("//") {
                let start = rest.index(rest.startIndex, offsetBy: 2)
                let end = rest[start...].firstIndex(of: "/") ?? rest.endIndex
                authority = String(rest[start..<end])
                rest = rest[end...]
            }
            path = String(rest)
        }

        var text: String {
            let start = (scheme.map { $0 + ":" } ?? "") + (authority.map { "//" + $0 } ?? "")
            return start + path + (query.map { "?" + $0 } ?? "")
        }
    }
}
