import Synchronization

/// A known value that turned up where none belongs.
public struct SecretLeak: Sendable, Hashable {
    public let path: String
    /// Where, such as `logs`.
    public let door: String

    public init(path: String, door: String) {
        (self.path, self.door) = (path, door)
    }
}

/// The known values of this process, for all doors, and where they turned up.
public final class SecretWatch: Sendable {
    /// Different leaks that are remembered until somebody takes them.
    public static let leaksMax = 1_000
    /// Nesting of a document that is looked through; what lies deeper goes.
    static let depthMax = 512

    private let known: Mutex<KnownSecrets>
    private let leaks = Mutex<[SecretLeak: Int]>([:])

    /// - Parameter entropy: Where the key of the fingerprints comes from.
    public init(entropy: any Entropy) {
        known = Mutex(KnownSecrets(key: entropy.bytes(32)))
    }

    /// Looks for these values from now on.
    public func add(_ values: [(path: String, value: SecretBytes)]) {
        known.withLock { $0.add(values) }
    }

    /// What is looked for at this moment.
    public var current: KnownSecrets { known.withLock { $0 } }

    public var isFull: Bool { known.withLock { $0.isFull } }

    /// A text without the values.
    public func clean(_ text: String, at door: String) -> String {
        let (clean, paths) = current.redact(text)
        note(paths, at: door)
        return clean
    }

    /// Bytes without the values.
    public func clean(_ bytes: [UInt8], at door: String) -> [UInt8] {
        let (clean, paths) = current.redact(bytes)
        note(paths, at: door)
        return clean
    }

    /// A document without the values, in texts and in names.
    public func clean(_ value: JSONValue, at door: String) -> JSONValue {
        let known = current
        guard !known.isEmpty else { return value }
        var paths: Set<String> = []
        let clean = Self.clean(value, known, &paths, depth: 0)
        note(paths, at: door)
        return paths.isEmpty ? value : clean
    }

    private static func clean(
        _ value: JSONValue, _ known: KnownSecrets, _ paths: inout Set<String>, depth: Int
    ) -> JSONValue {
        func redact(_ text: String) -> String {
            let (clean, found) = known.redact(text)
            paths.formUnion(found)
            return clean
        }
        switch value {
        case .string(let text): return .string(redact(text))
        case .array(let values):
            guard depth < depthMax else { return .null }
            return .array(values.map { clean($0, known, &paths, depth: depth + 1) })
        case .object(let object):
            guard depth < depthMax else { return .null }
            return .object(
                JSONObject(
                    object.members.map {
                        .init(name: redact($0.name), value: clean($0.value, known, &paths, depth: depth + 1))
                    }))
        case .null, .bool, .int, .double: return value
        }
    }

    /// Says that values were found and taken out.
    public func note(_ paths: some Sequence<String>, at door: String) {
        for path in paths {
            leaks.withLock { leaks in
                let leak = SecretLeak(path: path, door: door)
                guard leaks[leak] != nil || leaks.count < Self.leaksMax else { return }
                leaks[leak, default: 0] += 1
            }
        }
    }

    /// What turned up since somebody last asked, and how often.
    public func takeLeaks() -> [SecretLeak: Int] {
        leaks.withLock { leaks in
            defer { leaks = [:] }
            return leaks
        }
    }
}
