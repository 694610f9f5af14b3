/// The headers of a request, in the order in which they came.
///
/// A list and not a table by name: a request has about ten headers and is asked for two of them, so building a table
/// would cost more than it saves.
public struct RequestHeaders: Sendable, ExpressibleByDictionaryLiteral {
    /// Names as they came.
    public let fields: [(name: String, value: String)]

    public init(_ fields: [(name: String, value: String)]) {
        self.fields = fields
    }

    public init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { (name: $0.0, value: $0.1) }
    }

    /// The value of a header; of repeated ones the first. Names do not depend on case (RFC 9110 §5.1).
    ///
    /// - Parameter name: In lower case.
    public subscript(_ name: String) -> String? {
        for field in fields where Self.isSame(field.name, as: name) { return field.value }
        return nil
    }

    /// Whether `name`, as it came, is `lowercase`.
    public static func isSame(_ name: String, as lowercase: String) -> Bool {
        let left = name.utf8
        let right = lowercase.utf8
        guard left.count == right.count else { return false }
        return zip(left, right).allSatisfy { byte, wanted in
            byte == wanted || (byte | 0x20 == wanted && (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte))
        }
    }
}
