import Synchronization

/// The headers of a request, in the order in which they came.
///
/// A list and not a table by name: a request has about ten headers and is asked for two of them, so building a table
/// would cost more than it saves.
public struct RequestHeaders: Sendable, ExpressibleByDictionaryLiteral {
    /// Names as they came.
    public let fields: [(name: String, value: String)]
    /// Present where the same headers are expected again.
    public let memory: Memory?

    public init(_ fields: [(name: String, value: String)], memory: Memory? = nil) {
        self.fields = fields
        self.memory = memory
    }

    public init(dictionaryLiteral elements: (String, String)...) {
        self.init(elements.map { (name: $0.0, value: $0.1) })
    }

    /// The value of a header; of repeated ones the first. Names do not depend on case (RFC 9110 §5.1).
    ///
    /// - Parameter name: In lower case.
    public subscript(_ name: String) -> String? {
        for field in fields where Self.isSame(field.name, as: name) { return field.value }
        return nil
    }

    /// The same headers with another value in place of those of a name.
    ///
    /// - Parameter name: In lower case.
    public func replacing(_ name: String, with value: String) -> RequestHeaders {
        RequestHeaders(fields.map { Self.isSame($0.name, as: name) ? ($0.name, value) : $0 })
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

extension RequestHeaders {
    /// What was made of some headers, for the next request that has the same.
    public final class Memory: Sendable {
        /// Things that are remembered of the same headers.
        public static let entriesMax = 8

        private let entries = Mutex<[(name: String, bytes: [UInt8])]>([])

        public init() {}

        fileprivate func bytes(_ name: String, _ make: () -> [UInt8]) -> [UInt8] {
            if let known = entries.withLock({ $0.first { $0.name == name } }) { return known.bytes }
            let bytes = make()
            entries.withLock { if $0.count < Self.entriesMax { $0.append((name, bytes)) } }
            return bytes
        }
    }

    /// What `make` makes of these headers, which is the same each time, under a name of its own.
    public func derived(_ name: String, _ make: () -> [UInt8]) -> [UInt8] { memory?.bytes(name, make) ?? make() }
}
