import Kernel

/// The call that tells whether a new value is good: an address and the headers that the value goes into, such as
/// `authorization: Bearer {{value}}`. The address never holds the value, as addresses stand in logs.
public struct SecretProbe: Sendable, Equatable, JSONConvertible {
    public enum Method: String, Sendable, CaseIterable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
    }

    public struct Header: Sendable, Equatable {
        public let name: String
        /// `{{field}}` stands for a value of the secret.
        public let template: String
    }

    public static let headersMax = 16
    public static let textMax = 2_048
    public static let statusesMax = 16
    /// For how long an answer is waited for.
    public static let timeout = Span.seconds(10)

    public let url: String
    public let method: Method
    public let headers: [Header]
    /// Statuses that say that the value is good; any of 200 to 299 where it is empty.
    public let expect: [Int]

    /// A probe from outside.
    public init(_ fields: Fields) throws {
        try fields.refuseOthers(than: ["url", "method", "headers", "expect"])
        url = try fields.string("url", max: Self.textMax)
        guard url.hasPrefix("https://") || url.hasPrefix("http://"), !url.contains("{{"), !url.contains("@"),
            url.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw Problem.invalid(
                fields.path("url"), "an http or https address is expected, without a value or a user's name in it",
                hint: "The value goes into a header, such as \"authorization\": \"Bearer {{value}}\".")
        }
        method = try fields.optionalChoice("method", Method.self) ?? .get
        headers = try Self.headers(fields)
        expect = try (fields.optionalArray("expect", max: Self.statusesMax) ?? []).map { item in
            guard let status = item.int, (100...599).contains(status) else {
                throw Problem.invalid(fields.path("expect"), "statuses of HTTP are expected, such as 200")
            }
            return Int(status)
        }
    }

    private static func headers(_ fields: Fields) throws -> [Header] {
        let object = try fields.value("headers")?.object ?? JSONObject()
        let headers = try object.members.map { member in
            guard let text = member.value.string, isToken(member.name), text.utf8.count <= textMax, isClean(text) else {
                throw Problem.invalid(
                    fields.path("headers"), "names of headers and texts of at most \(textMax) bytes are expected")
            }
            return Header(name: member.name, template: text)
        }
        guard (1...headersMax).contains(headers.count), headers.contains(where: { $0.template.contains("{{") }) else {
            throw Problem.invalid(
                fields.path("headers"), "1 to \(headersMax) are expected, and a value in one of them",
                hint: "For example {\"authorization\": \"Bearer {{value}}\"}: a call without it proves nothing.")
        }
        return headers
    }

    private static func isToken(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    private static func isClean(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }

    /// A probe from our own store.
    init?(stored text: String) {
        guard let object = try? JSONParser.parse(Array(text.utf8)).object,
            let probe = try? SecretProbe(Fields(object, limits: Limits()))
        else { return nil }
        self = probe
    }

    public var json: JSONValue {
        var named = JSONObject()
        for header in headers { named[header.name] = .string(header.template) }
        return [
            "url": .string(url), "method": .string(method.rawValue), "headers": .object(named),
            "expect": .array(expect.map(\.json)),
        ]
    }

    /// Its call with a secret's values in their places.
    func call(with data: JSONObject) throws -> SecretProbeCall {
        let filled = try headers.map { header in
            (name: header.name, value: try Self.fill(header.template, with: data))
        }
        return SecretProbeCall(url: url, method: method, headers: filled)
    }

    private static func fill(_ template: String, with data: JSONObject) throws -> String {
        var (filled, rest) = ("", template[...])
        while let start = rest.firstRange(of: "{{"), let end = rest[start.upperBound...].firstRange(of: "}}") {
            let name = rest[start.upperBound..<end.lowerBound].split(separator: " ").joined()
            guard let value = data[name]?.string else {
                throw Problem.invalid(
                    "probe/headers", "the new value has no text \"\(name.prefix(64))\"",
                    hint: "It has: \(data.names.joined(separator: ", ")).")
            }
            guard isClean(value) else {
                throw Problem.invalid(
                    "probe/headers",
                    "the text \"\(name.prefix(64))\" has lines or control characters in it, which no "
                        + "header may have", hint: "Have a person answer for the new value instead.")
            }
            filled += rest[..<start.lowerBound] + value
            rest = rest[end.upperBound...]
        }
        return filled + rest
    }

    /// Whether an answer says that the value is good.
    func accepts(_ status: Int) -> Bool { expect.isEmpty ? (200..<300).contains(status) : expect.contains(status) }
}

/// A probe on its way: its headers hold the value. Never stored, never logged.
public struct SecretProbeCall: Sendable {
    public let url: String
    public let method: SecretProbe.Method
    public let headers: [(name: String, value: String)]
}

/// Makes the calls of probes.
public protocol SecretProber: Sendable {
    /// The status of the answer, whose body nobody reads, or why there is none, in words without the value.
    func call(_ call: SecretProbeCall, timeout: Span) async -> Result<Int, SecretProbeFault>
}

/// Why a probe has no answer, in words without the value.
public struct SecretProbeFault: Error, Equatable {
    public let reason: String

    public init(reason: String) { self.reason = reason }
}

extension ProblemCode {
    /// A probe says that the new value is not good.
    public static let probeFailed = ProblemCode("probe_failed", 409, "The new value was not accepted")
}
