/// Finds keys that Reeve does not keep, in whole texts and by their form alone, and puts `[redacted:<format>]` in their
/// place: what ``Redactor`` does for texts that come in pieces, for the doors where much comes and nearly nothing is
/// found.
///
/// A text is walked along once. Three bytes decide at nearly every place that no key begins there, without a look at
/// any format; the work at the others is bounded.
public struct KeyPatterns: Sendable {
    /// False finds in a million bytes of random text, at most; it is the text of addresses' Base64 that comes near it,
    /// as it has keys' own alphabet and their hyphens. In prose, code and digests there are none.
    public static let falseFindsMax = 1
    /// What a text may be, as a key without an end takes what follows with it.
    public enum Form: Sendable {
        case plain
        /// A quote ends what stands within it, unless it is escaped.
        case json
    }

    /// Steps along private keys, for each byte of a text.
    private static let stepsPerByte = 4
    private static let tokenName = "jwt"
    static let keyName = "private_key"
    private static let windowBytes = 3

    /// All names that can be found.
    public static let names = Set(SecretFormat.all.map(\.name) + [tokenName, keyName])

    /// What is left alone.
    private let excepted: Set<String>
    private let formats: [SecretFormat]
    private let hasTokens: Bool
    /// Whether private keys are looked for.
    public let hasKeys: Bool
    /// A bit for each hash of three bytes that something begins with.
    private let windows: [UInt64]
    /// The formats that begin with each byte.
    private let starts: [[Int]]

    /// All but these names.
    public init(except names: Set<String> = []) {
        let formats = SecretFormat.all.filter { !names.contains($0.name) }
        let (hasTokens, hasKeys) = (!names.contains(Self.tokenName), !names.contains(Self.keyName))
        var windows = [UInt64](repeating: 0, count: 1 << 9)
        var starts = [[Int]](repeating: [], count: 256)
        for (index, format) in formats.enumerated() { starts[Int(format.prefix[0])].append(index) }
        let begins =
            formats.map { Array($0.prefix.prefix(Self.windowBytes)) }
            + (hasTokens ? [Array("eyJ".utf8)] : []) + (hasKeys ? [Array("---".utf8)] : [])
        for begin in begins {
            let slot = Self.slot(begin.reduce(0) { $0 << 8 | UInt32($1) })
            windows[slot >> 6] |= 1 << UInt64(slot & 63)
        }
        excepted = names
        (self.formats, self.hasTokens, self.hasKeys) = (formats, hasTokens, hasKeys)
        (self.windows, self.starts) = (windows, starts)
    }

    /// The names of a list with commas between.
    ///
    /// - Throws: ``Problem`` where one of them is no format.
    public init(exceptList text: String?, field: String) throws {
        let names = (text ?? "").split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
        if let unknown = names.first(where: { !Self.names.contains($0) }) {
            throw Problem.invalid(
                field,
                "there is no format \"\(unknown.prefix(100))\"; there are "
                    + Self.names.sorted().joined(separator: ", "))
        }
        self.init(except: Set(names))
    }

    /// The same without some more.
    func sparing(_ names: Set<String>) -> KeyPatterns { KeyPatterns(except: excepted.union(names)) }

    public static let all = KeyPatterns()
    public static let none = KeyPatterns(except: names)

    public var isEmpty: Bool { formats.isEmpty && !hasTokens && !hasKeys }

    @inline(__always)
    private static func slot(_ window: UInt32) -> Int { Int(truncatingIfNeeded: (window &* 0x9E37_79B1) >> 17) }

    // MARK: texts

    /// Bytes without keys, and how often each format was found; `nil` where there is none, as in nearly every text. A
    /// text that begins like JSON is taken as that.
    public func redact(_ bytes: [UInt8], _ form: Form? = nil) -> (bytes: [UInt8], found: [String: Int])? {
        bytes.withUnsafeBufferPointer { redact($0, form) }
    }

    /// A text without keys; see ``redact(_:_:)-(Array<UInt8>,_)``.
    public func redact(_ text: String) -> (text: String, found: [String: Int])? {
        var text = text
        return text.withUTF8 { bytes in
            redact(bytes, nil).map { (String(decoding: $0.bytes, as: UTF8.self), $0.found) }
        }
    }

    private func redact(
        _ bytes: UnsafeBufferPointer<UInt8>, _ form: Form?
    ) -> (bytes: [UInt8], found: [String: Int])? {
        var walk = KeyWalk(bytes, isJSON: (form ?? Self.form(of: bytes)) == .json)
        var output: [UInt8] = []
        var found: [String: Int] = [:]
        var copied = 0
        each(bytes) { index in
            guard index >= copied, let (name, end) = find(&walk, at: index) else { return true }
            output.append(contentsOf: bytes[copied..<index])
            output.append(contentsOf: "[redacted:\(name)]".utf8)
            found[name, default: 0] += 1
            copied = end
            return true
        }
        guard copied > 0 else { return nil }
        output.append(contentsOf: bytes[copied...])
        return (output, found)
    }

    /// Whether any text among these bytes may have a key, wherever it begins: a look at many at once.
    func mayFind(_ bytes: [UInt8]) -> Bool {
        var may = false
        bytes.withUnsafeBufferPointer { bytes in
            var walk = KeyWalk(bytes, isJSON: false)
            each(bytes) { index in
                may = bytes[index] == UInt8(ascii: "-") ? walk.isKeyLine(at: index) : match(&walk, at: index) != nil
                return !may
            }
        }
        return may
    }

    private static func form(of bytes: UnsafeBufferPointer<UInt8>) -> Form {
        let first = bytes.first { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D && $0 != 0x09 }
        return first == UInt8(ascii: "{") || first == UInt8(ascii: "[") ? .json : .plain
    }

    /// Shows the places where three bytes are as something begins, until `body` has seen enough.
    @inline(__always)
    private func each(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (Int) -> Bool) {
        guard bytes.count > Self.windowBytes, !isEmpty else { return }
        windows.withUnsafeBufferPointer { windows in
            var window = UInt32(bytes[0]) << 8 | UInt32(bytes[1])
            for index in 2..<bytes.count {
                window = (window << 8 | UInt32(bytes[index])) & 0xFF_FFFF
                let slot = Self.slot(window)
                guard windows[slot >> 6] >> UInt64(slot & 63) & 1 == 1 else { continue }
                guard body(index - 2) else { return }
            }
        }
    }

    private func find(_ walk: inout KeyWalk, at index: Int) -> (name: String, end: Int)? {
        walk.isBoundary(index) ? match(&walk, at: index) : nil
    }

    /// What begins here: the longest of all that fit.
    private func match(_ walk: inout KeyWalk, at index: Int) -> (name: String, end: Int)? {
        let first = walk.view[index]
        var best: (name: String, end: Int)?
        for number in starts[Int(first)] {
            let format = formats[number]
            guard let end = walk.end(of: format, at: index), end > best?.end ?? 0 else { continue }
            best = (format.name, end)
        }
        if hasTokens, first == UInt8(ascii: "e"), let end = walk.tokenEnd(at: index) { return (Self.tokenName, end) }
        if hasKeys, first == UInt8(ascii: "-"), let end = walk.keyEnd(at: index) { return (Self.keyName, end) }
        return best
    }

    /// A walk along one text, which remembers what it has seen ahead.
    private struct KeyWalk {
        let view: Redactor.View
        private let isJSON: Bool
        /// Steps that may still be taken along keys: a hostile text has many that begin and none that ends.
        private var steps: Int
        /// A stretch of the alphabet of tokens, and one of it where nothing looks drawn by lot.
        private var run = 0..<0
        private var unproven = 0..<0

        init(_ bytes: UnsafeBufferPointer<UInt8>, isJSON: Bool) {
            view = Redactor.View(bytes: bytes, isFinal: true)
            self.isJSON = isJSON
            steps = bytes.count * KeyPatterns.stepsPerByte
        }

        /// Whether a word may begin here: not within another one, where its last letter is none of an escape, as in
        /// `\n`, `\u000a` and `%3D`. The dashes of a key are part of no word.
        func isBoundary(_ index: Int) -> Bool {
            guard index > 0, view[index] != UInt8(ascii: "-") else { return true }
            let last = view[index - 1]
            guard ByteSet.alphanumeric.contains(last) else { return true }
            if index >= 2, view[index - 2] == UInt8(ascii: "\\") { return Self.escapes.contains(last) }
            if index >= 3, view[index - 3] == UInt8(ascii: "%") { return isHex(index - 2..<index) }
            return index >= 6 && view[index - 6] == UInt8(ascii: "\\") && view[index - 5] == UInt8(ascii: "u")
                && isHex(index - 4..<index)
        }

        private static let escapes = ByteSet(and: "nrtbf")
        private static let digits = ByteSet("0"..."9", "A"..."F", "a"..."f")

        private func isHex(_ range: Range<Int>) -> Bool { range.allSatisfy { Self.digits.contains(view[$0]) } }

        mutating func end(of format: SecretFormat, at index: Int) -> Int? {
            guard view.hasPrefix(format.prefix, at: index) == true else { return nil }
            let body = index + format.prefix.count
            if format.alphabet == .base64URL, format.proof == .random {
                // Where many begin in one stretch, none of it is looked at again for each of them.
                guard runEnd(from: body) - body >= format.length.lowerBound else { return nil }
                let end = min(runEnd(from: body), index + Redactor.tokenMax)
                let isSeen = unproven.contains(body)
                let from = isSeen ? max(body, min(end, unproven.upperBound) - SecretFormat.randomStretch) : body
                guard format.isProven(view.bytes[from..<end]) else {
                    unproven = (isSeen ? unproven.lowerBound : body)..<max(end, isSeen ? unproven.upperBound : end)
                    return nil
                }
            }
            guard case .found(let end, let rest) = format.match(view, at: index) else { return nil }
            guard case .run(let alphabet) = rest else { return end }
            return view.run(of: alphabet, from: end, max: view.count)
        }

        // MARK: tokens

        /// The end of a stretch of Base64 for addresses.
        private mutating func runEnd(from index: Int) -> Int {
            if !run.contains(index) { run = index..<view.run(of: .base64URL, from: index, max: view.count) }
            return run.upperBound
        }

        mutating func tokenEnd(at index: Int) -> Int? {
            guard view.hasPrefix(WebToken.begin, at: index) == true else { return nil }
            let header = runEnd(from: index)
            guard header - index >= WebToken.segmentMin, header < view.count, view[header] == UInt8(ascii: "."),
                view.hasPrefix(WebToken.begin, at: header + 1) == true
            else { return nil }
            let payload = view.run(of: .base64URL, from: header + 1, max: view.count)
            guard payload - header > WebToken.segmentMin else { return nil }
            guard payload < view.count, view[payload] == UInt8(ascii: ".") else { return payload }
            let signature = view.run(of: .base64URL, from: payload + 1, max: view.count)
            return signature > payload + 1 ? signature : payload
        }

        // MARK: private keys

        func isKeyLine(at index: Int) -> Bool { KeyBody.lineEnd(view, at: index) != nil }

        mutating func keyEnd(at index: Int) -> Int? {
            guard case .found(let start, .key(var body)) = KeyBody.match(view, at: index) else { return nil }
            // What stands in the next text of a document is none of this one's.
            guard !(index..<start).contains(where: endsText) else { return nil }
            var place = start
            while place < view.count, steps > 0, !endsText(place) {
                steps -= 1
                switch body.take(view[place]) {
                case .inside: place += 1
                case .last: return place + 1
                case .outside: return contentEnd(from: start)
                }
            }
            return contentEnd(from: start)
        }

        /// Where the letters of a key end that has no last line.
        private func contentEnd(from start: Int) -> Int {
            var place = start
            var end = start
            while place < view.count, place - start < KeyBody.bodyMax, !endsText(place) {
                let byte = view[place]
                place += 1
                if ByteSet.base64.contains(byte) || byte == UInt8(ascii: "=") || byte == UInt8(ascii: "%") {
                    end = place
                } else if byte == UInt8(ascii: "\\") {
                    // What it escapes is its own.
                    if place < view.count, ByteSet.alphanumeric.contains(view[place]) { end = place }
                } else if byte != 0x0A, byte != 0x0D {
                    break
                }
            }
            return end
        }

        /// Whether a quote stands here that ends a text of JSON.
        private func endsText(_ place: Int) -> Bool {
            guard isJSON, view[place] == UInt8(ascii: "\"") else { return false }
            var slashes = 0
            while place - slashes > 0, view[place - slashes - 1] == UInt8(ascii: "\\") { slashes += 1 }
            return slashes % 2 == 0
        }
    }
}

extension KeyPatterns {
    /// What the settings ask for.
    public init(_ settings: Settings.Secrets) throws {
        self =
            settings.findsKeys
            ? try KeyPatterns(exceptList: settings.keyFormatsExcept, field: "secrets.keyFormatsExcept") : .none
    }
}
