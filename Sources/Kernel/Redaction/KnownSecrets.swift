import Crypto
import Foundation

/// Finds the values of secrets that Reeve itself keeps, wherever they turn up, and puts `[redacted:<path>]` in their
/// place: as they are, as JSON and addresses write them, and within Base64.
///
/// The values are not in it. Of each form it has a short keyed hash of how it begins and ends, so that most text is
/// passed over at a multiplication or two for each byte, and an HMAC of the whole, which alone decides. The key is this
/// process's own.
public struct KnownSecrets: Sendable {
    /// Shorter values are not looked for: they would be found in ordinary words.
    public static let valueMin = 8
    /// Lines of a longer value that are looked for alone too, as logs are kept line by line.
    public static let lineMin = 16
    public static let linesMax = 64
    /// Forms that are looked for; what comes after that is not.
    public static let formsMax = 1 << 17
    /// A longer form is looked for in pieces of this size.
    public static let pieceMax = 4_096
    /// Bytes of how a form begins that are looked up: the longer ones where it is long enough, as keys of one issuer
    /// begin alike.
    static let windows = (short: 8, long: 16)

    struct Candidate: Sendable {
        let length: Int
        /// Hashes of the last bytes of the forms of this length.
        var tails: Set<UInt64>
    }

    /// Forms that begin alike.
    struct Window: Sendable {
        var candidates: [UInt64: [Candidate]] = [:]
        /// A bit for some bits of each hash.
        var filter: [UInt64] = []

        @inline(__always)
        func mayHave(_ hash: UInt64) -> Bool {
            guard !filter.isEmpty else { return false }
            let bit = Int(truncatingIfNeeded: hash) & (filter.count << 6 - 1)
            return filter[bit >> 6] >> UInt64(bit & 63) & 1 == 1
        }

        mutating func insert(_ hash: UInt64, length: Int, tail: UInt64) {
            var known = candidates[hash] ?? []
            if let index = known.firstIndex(where: { $0.length == length }) {
                known[index].tails.insert(tail)
            } else {
                // The longest first.
                known.insert(
                    Candidate(length: length, tails: [tail]),
                    at: known.firstIndex { $0.length < length } ?? known.count)
            }
            candidates[hash] = known
            // So many bits for each beginning that few others are looked up.
            if candidates.count > filter.count {
                filter = [UInt64](repeating: 0, count: max(64, filter.count * 2))
                for known in candidates.keys { mark(known) }
            } else {
                mark(hash)
            }
        }

        private mutating func mark(_ hash: UInt64) {
            let bit = Int(truncatingIfNeeded: hash) & (filter.count << 6 - 1)
            filter[bit >> 6] |= 1 << UInt64(bit & 63)
        }
    }

    private(set) var short = Window()
    private(set) var long = Window()
    private var names: [[UInt8]: String] = [:]
    private let seeds: (UInt64, UInt64)
    private let key: SymmetricKey
    /// Whether there were more forms than ``formsMax``.
    public private(set) var isFull = false

    /// - Parameter key: 32 random bytes.
    public init(_ values: [(path: String, value: SecretBytes)] = [], key: [UInt8]) {
        self.key = SymmetricKey(data: key)
        let digest = Array(SHA256.hash(data: key + [1]))
        func word(_ start: Int) -> UInt64 { digest[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        seeds = (word(0), word(8) | 1)
        add(values)
    }

    /// Looks for more values from now on. The first ones stay where there are too many.
    public mutating func add(_ values: [(path: String, value: SecretBytes)]) {
        for (path, value) in values {
            for form in SecretForms.all(of: value) { add(form, path) }
        }
    }

    private mutating func add(_ form: [UInt8], _ path: String) {
        form.withUnsafeBufferPointer { bytes in
            let code = code(of: bytes[...])
            guard names[code] == nil else { return }
            guard names.count < Self.formsMax else {
                isFull = true
                return
            }
            names[code] = path
            let tail = hash(Self.word(bytes, bytes.count - 8))
            if bytes.count >= Self.windows.long {
                long.insert(hash(Self.word(bytes, 0), Self.word(bytes, 8)), length: bytes.count, tail: tail)
            } else {
                short.insert(hash(Self.word(bytes, 0)), length: bytes.count, tail: tail)
            }
        }
    }

    public var isEmpty: Bool { names.isEmpty }

    // MARK: hashes

    @inline(__always)
    static func word(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> UInt64 {
        var word: UInt64 = 0
        for index in start..<start + 8 { word = word << 8 | UInt64(bytes[index]) }
        return word
    }

    /// 40 bits of a keyed hash: enough to tell texts apart, too few to lead back to one.
    @inline(__always)
    func hash(_ high: UInt64, _ low: UInt64 = 0x9E37_79B9_7F4A_7C15) -> UInt64 {
        let product = (high ^ seeds.0).multipliedFullWidth(by: (low ^ seeds.1) | 1)
        let mixed = (product.high ^ product.low).multipliedFullWidth(by: seeds.1)
        return (mixed.high ^ mixed.low) >> 24
    }

    private func code(of bytes: Slice<UnsafeBufferPointer<UInt8>>) -> [UInt8] {
        var code = HMAC<SHA256>(key: key)
        code.update(data: UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes)))
        return Array(code.finalize())
    }

    enum Match {
        case none
        /// It depends on what comes.
        case open
        case found(end: Int, path: String)
    }

    /// The longest form that begins at `start`.
    ///
    /// - Parameters:
    ///   - high: The eight bytes from there, and `low` the next eight; zero beyond the end.
    @inline(__always)
    func match(
        _ bytes: UnsafeBufferPointer<UInt8>, at start: Int, _ high: UInt64, _ low: UInt64, isFinal: Bool
    ) -> Match {
        let left = bytes.count - start
        if left >= Self.windows.long, !long.filter.isEmpty {
            let hash = hash(high, low)
            if long.mayHave(hash) {
                let match = match(bytes, at: start, long.candidates[hash] ?? [], isFinal: isFinal)
                if case .none = match {} else { return match }
            }
        }
        if left >= Self.windows.short, !short.filter.isEmpty {
            let hash = hash(high)
            if short.mayHave(hash) { return match(bytes, at: start, short.candidates[hash] ?? [], isFinal: isFinal) }
        }
        return .none
    }

    private func match(
        _ bytes: UnsafeBufferPointer<UInt8>, at start: Int, _ candidates: [Candidate], isFinal: Bool
    ) -> Match {
        for candidate in candidates {
            let end = start + candidate.length
            guard end <= bytes.count else {
                if isFinal { continue }
                return .open
            }
            guard candidate.tails.contains(hash(Self.word(bytes, end - 8))) else { continue }
            if let path = names[code(of: bytes[start..<end])] { return .found(end: end, path: path) }
        }
        return .none
    }

    // MARK: whole texts

    /// A text without the values, and the paths of those that were in it.
    public func redact(_ text: String) -> (text: String, paths: Set<String>) {
        guard !isEmpty, text.utf8.count >= Self.valueMin else { return (text, []) }
        var text = text
        return text.withUTF8 { bytes in
            guard let (clean, paths) = clean(bytes) else { return nil }
            return (String(decoding: clean, as: UTF8.self), paths)
        } ?? (text, [])
    }

    /// Bytes without the values, and the paths of those that were in them.
    public func redact(_ bytes: [UInt8]) -> (bytes: [UInt8], paths: Set<String>) {
        guard !isEmpty, bytes.count >= Self.valueMin else { return (bytes, []) }
        return bytes.withUnsafeBufferPointer(clean).map { ($0.0, $0.1) } ?? (bytes, [])
    }

    /// `nil` where nothing is found, as in nearly every text.
    private func clean(_ bytes: UnsafeBufferPointer<UInt8>) -> ([UInt8], Set<String>)? {
        var scan = KnownSecretScan(self)
        var output: [UInt8] = []
        _ = scan.run(bytes, isFinal: true, into: &output)
        return scan.findings.isEmpty ? nil : (output, Set(scan.findings.keys))
    }
}
