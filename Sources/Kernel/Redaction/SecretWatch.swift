import Synchronization

/// Something that turned up where none of its kind belongs.
public struct SecretLeak: Sendable, Hashable {
    public enum What: Sendable, Hashable {
        /// The value of a secret that Reeve keeps, by its path.
        case known(String)
        /// What looks like a key, by the name of its format.
        case pattern(String)
    }

    public let what: What
    /// Where, such as `logs`.
    public let door: String

    public init(_ what: What, door: String) {
        (self.what, self.door) = (what, door)
    }

    public init(path: String, door: String) { self.init(.known(path), door: door) }
}

/// What turned up in a text.
public struct SecretFinds: Sendable, Equatable {
    /// Of secrets that are kept.
    public var paths: Set<String> = []
    /// How often each format of keys was found.
    public var formats: [String: Int] = [:]

    public init(paths: Set<String> = [], formats: [String: Int] = [:]) {
        (self.paths, self.formats) = (paths, formats)
    }

    /// So many private keys.
    public static func keys(_ count: Int) -> SecretFinds { SecretFinds(formats: [KeyPatterns.keyName: count]) }

    public var isEmpty: Bool { paths.isEmpty && formats.isEmpty }

    public mutating func merge(_ other: SecretFinds) {
        paths.formUnion(other.paths)
        formats.merge(other.formats, uniquingKeysWith: +)
    }
}

/// What is looked for at a moment: known values first, as more can be said of those, then what looks like a key.
public struct SecretLook: Sendable {
    public let known: KnownSecrets
    public let patterns: KeyPatterns

    public var isEmpty: Bool { known.isEmpty && patterns.isEmpty }

    /// Whether there may be anything in these bytes, which are several texts.
    public func mayFind(_ bytes: [UInt8]) -> Bool { patterns.mayFind(bytes) || !known.redact(bytes).paths.isEmpty }

    /// Bytes without both, and what was in them.
    public func redact(_ bytes: [UInt8], _ form: KeyPatterns.Form? = nil) -> (bytes: [UInt8], finds: SecretFinds) {
        let (bytes, paths) = known.redact(bytes)
        guard let (clean, found) = patterns.redact(bytes, form) else { return (bytes, SecretFinds(paths: paths)) }
        return (clean, SecretFinds(paths: paths, formats: found))
    }

    /// A text without both, and what was in it.
    public func redact(_ text: String) -> (text: String, finds: SecretFinds) {
        let (text, paths) = known.redact(text)
        guard let (clean, found) = patterns.redact(text) else { return (text, SecretFinds(paths: paths)) }
        return (clean, SecretFinds(paths: paths, formats: found))
    }
}

/// What must not turn up anywhere in this process's keeping, for all doors, and where it did.
public final class SecretWatch: Sendable {
    /// Different leaks of known values that are remembered until somebody takes them. Those of patterns are as many as
    /// there are formats and doors.
    public static let leaksMax = 1_000
    /// Nesting of a document that is looked through; what lies deeper goes.
    static let depthMax = 512

    private struct Seen {
        var known: [SecretLeak: Int] = [:]
        var patterns: [SecretLeak: Int] = [:]
        /// Over the whole time, by the format's name or `known`, and the door.
        var totals: [Total: Int64] = [:]
    }

    private struct Total: Hashable {
        let kind: String
        let door: String
    }

    /// How values that are kept are counted beside the formats of keys.
    public static let knownKind = "known"

    private let known: Mutex<KnownSecrets>
    private let patterns: KeyPatterns
    /// Those for the doors where a key of Reeve belongs into the body.
    private let foreign: KeyPatterns
    private let seen = Mutex(Seen())

    /// - Parameters:
    ///   - entropy: Where the key of the fingerprints comes from.
    ///   - patterns: The keys that are looked for by their form.
    public init(entropy: any Entropy, patterns: KeyPatterns = .all) {
        known = Mutex(KnownSecrets(key: entropy.bytes(32)))
        self.patterns = patterns
        foreign = patterns.sparing(["reeve_key"])
    }

    /// Looks for these values from now on.
    public func add(_ values: [(path: String, value: SecretBytes)]) {
        known.withLock { $0.add(values) }
    }

    /// The known values that are looked for at this moment.
    public var current: KnownSecrets { known.withLock { $0 } }

    /// All that is looked for at this moment.
    public var look: SecretLook { SecretLook(known: current, patterns: patterns) }

    public var isFull: Bool { known.withLock { $0.isFull } }

    /// A text without known values and keys.
    public func clean(_ text: String, at door: String) -> String {
        let (clean, finds) = look.redact(text)
        note(finds, at: door)
        return clean
    }

    /// A name that a client gave something, without known values. What only looks like a key stays: two names that
    /// do would be one.
    public func clean(name: String, at door: String) -> String {
        let (clean, paths) = current.redact(name)
        note(SecretFinds(paths: paths), at: door)
        return clean
    }

    /// Bytes without known values and keys.
    ///
    /// - Parameter form: What they are; a text that begins like JSON is that, where nobody says.
    public func clean(_ bytes: [UInt8], at door: String, as form: KeyPatterns.Form? = nil) -> [UInt8] {
        let (clean, finds) = look.redact(bytes, form)
        note(finds, at: door)
        return clean
    }

    /// Bytes without known values and keys of others: the sender's own key of Reeve belongs there.
    public func clean(keyed bytes: [UInt8], at door: String) -> [UInt8] {
        let (clean, finds) = SecretLook(known: current, patterns: foreign).redact(bytes)
        note(finds, at: door)
        return clean
    }

    /// A document without known values, whose door refuses it where something in it looks like a key: that is told as
    /// well, and stays, so that whoever sent it hears which line it is.
    ///
    /// - Parameter remarks: Members of it that nobody checks: they go without keys.
    public func clean(checked bytes: [UInt8], remarks: Set<String>, at door: String) -> [UInt8] {
        let (clean, paths) = current.redact(bytes)
        let found = patterns.redact(clean)?.found ?? [:]
        note(SecretFinds(paths: paths, formats: found), at: door)
        guard !found.isEmpty, var document = (try? JSONParser.parse(clean))?.object else { return clean }
        for name in remarks {
            guard let text = document[name]?.string, let (shown, _) = patterns.redact(text) else { continue }
            document[name] = .string(shown)
        }
        return JSONValue.object(document).bytes
    }

    /// A document without known values and keys, in texts and in names.
    public func clean(_ value: JSONValue, at door: String) -> JSONValue {
        let look = look
        guard !look.isEmpty else { return value }
        var finds = SecretFinds()
        let clean = Self.clean(value, look, &finds, depth: 0)
        note(finds, at: door)
        return finds.isEmpty ? value : clean
    }

    private static func clean(
        _ value: JSONValue, _ look: SecretLook, _ finds: inout SecretFinds, depth: Int
    ) -> JSONValue {
        func redact(_ text: String) -> String {
            let (clean, found) = look.redact(text)
            if !found.isEmpty { finds.merge(found) }
            return clean
        }
        switch value {
        case .string(let text): return .string(redact(text))
        case .array(let values):
            guard depth < depthMax else { return .null }
            return .array(values.map { clean($0, look, &finds, depth: depth + 1) })
        case .object(let object):
            guard depth < depthMax else { return .null }
            return .object(
                JSONObject(
                    object.members.map {
                        .init(name: redact($0.name), value: clean($0.value, look, &finds, depth: depth + 1))
                    }))
        case .null, .bool, .int, .double: return value
        }
    }

    /// Says that something was found and taken out.
    public func note(_ finds: SecretFinds, at door: String) {
        guard !finds.isEmpty else { return }
        seen.withLock { seen in
            for path in finds.paths {
                seen.totals[Total(kind: Self.knownKind, door: door), default: 0] += 1
                let leak = SecretLeak(path: path, door: door)
                guard seen.known[leak] != nil || seen.known.count < Self.leaksMax else { continue }
                seen.known[leak, default: 0] += 1
            }
            for (format, count) in finds.formats {
                seen.totals[Total(kind: format, door: door), default: 0] += Int64(count)
                seen.patterns[SecretLeak(.pattern(format), door: door), default: 0] += count
            }
        }
    }

    /// What turned up since somebody last asked, and how often.
    public func takeLeaks() -> [SecretLeak: Int] {
        seen.withLock { seen in
            defer { (seen.known, seen.patterns) = ([:], [:]) }
            return seen.known.merging(seen.patterns) { known, _ in known }
        }
    }

    /// Gives back what could not be told, for the next time.
    public func giveBack(_ leaks: [SecretLeak: Int]) {
        seen.withLock { seen in
            for (leak, count) in leaks {
                switch leak.what {
                case .pattern: seen.patterns[leak, default: 0] += count
                case .known:
                    guard seen.known[leak] != nil || seen.known.count < Self.leaksMax else { continue }
                    seen.known[leak, default: 0] += count
                }
            }
        }
    }

    /// How much was taken out since the start, by kind and door.
    public var totals: [(kind: String, door: String, count: Int64)] {
        seen.withLock { $0.totals }.map { ($0.key.kind, $0.key.door, $0.value) }.sorted {
            ($0.kind, $0.door) < ($1.kind, $1.door)
        }
    }
}
