/// A private key in PEM (RFC 7468, RFC 1421, and OpenPGP's armour, RFC 9580 §6): found by its first line and a stretch
/// of its content, as texts about keys show the line alone, and followed to its last line.
struct KeyBody: Sendable, Equatable {
    /// Characters between `-----BEGIN` and the next dashes.
    static let labelMax = 48
    /// How far behind the first line content must have begun; old keys have header lines there.
    static let headersMax = 512
    /// A stretch of Base64 that no word has.
    static let stretch = 24
    /// Characters of a key without an end; the longest keys in use have a quarter of it.
    static let bodyMax = 1 << 16
    /// So many gaps between words, and so few characters for each: that is prose and no key.
    private static let gapsMin = 12
    private static let charactersPerGap = 16

    private static let begin = Array("-----BEGIN".utf8)
    /// As they are, and as addresses and forms write them.
    private static let ends = ["PRIVATE KEY-----", "PRIVATE KEY BLOCK-----"].flatMap { end in
        [" ", "%20", "+"].map { Array(end.split(separator: " ").joined(separator: $0).utf8) }
    }
    private static let label = ByteSet("A"..."Z", "0"..."9", and: " %+")

    enum Step: Sendable, Equatable {
        case inside
        /// This byte belongs to it, and the next does not.
        case last
        case outside
    }

    private enum Phase: Sendable, Equatable {
        case body
        /// Between the dashes of a line that ends, or begins, a block.
        case line(isEnd: Bool, isFirst: Bool)
    }

    private var phase = Phase.body
    private var dashes = 0
    private var gaps = 0
    private var taken = 0
    private var lastIsSpace = true

    /// Where the first line ends; for a text that is whole.
    static func lineEnd(_ view: Redactor.View, at index: Int) -> Int? {
        guard view.hasPrefix(begin, at: index) == true else { return nil }
        let end = view.run(of: label, from: index + begin.count, max: labelMax)
        let line = view.bytes[index..<min(view.count, end + 5)]
        return ends.contains { line.suffix($0.count).elementsEqual($0) } ? end + 5 : nil
    }

    /// Whether a private key begins here.
    static func match(_ view: Redactor.View, at index: Int) -> Redactor.Match {
        guard let isHere = view.hasPrefix(begin, at: index) else { return .open }
        guard isHere else { return .none }
        let start = index + begin.count
        let end = view.run(of: label, from: start, max: labelMax)
        if end - start < labelMax, view.isOpen(at: end) { return .open }
        guard let isLine = view.hasPrefix([45, 45, 45, 45, 45], at: end) else { return .open }
        let line = view.bytes[start..<min(view.count, end + 5)]
        guard isLine, ends.contains(where: { line.suffix($0.count).elementsEqual($0) }) else { return .none }
        return content(view, from: end + 5)
    }

    private static func content(_ view: Redactor.View, from start: Int) -> Redactor.Match {
        var run = 0
        var body = KeyBody()
        let limit = min(view.count, start + headersMax)
        for place in start..<max(start, limit) {
            let byte = view[place]
            run = ByteSet.base64.contains(byte) ? run + 1 : 0
            guard body.take(byte) == .inside else { return .none }
            if run == stretch { return .found(end: place + 1, rest: .key(body)) }
        }
        return limit - start < headersMax && view.isOpen(at: limit) ? .open : .none
    }

    /// Follows the key by a byte.
    mutating func take(_ byte: UInt8) -> Step {
        guard byte < 0x80, taken < Self.bodyMax else { return .outside }
        taken += 1
        switch phase {
        case .body:
            let isSpace = byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
            if byte == 0x20, !lastIsSpace { gaps += 1 }
            lastIsSpace = isSpace
            if gaps >= Self.gapsMin, gaps * Self.charactersPerGap > taken { return .outside }
            dashes = byte == 45 ? dashes + 1 : 0
            if dashes == 5 {
                phase = .line(isEnd: true, isFirst: true)
                dashes = 0
            }
        case .line(let isEnd, let isFirst):
            if byte == 45 {
                dashes += 1
                guard dashes == 5 else { return .inside }
                // A second key may follow the first without an end between them.
                if isEnd { return .last }
                phase = .body
                dashes = 0
            } else {
                guard Self.label.contains(byte) else { return .outside }
                dashes = 0
                phase = .line(isEnd: isFirst ? byte == UInt8(ascii: "E") : isEnd, isFirst: false)
            }
        }
        return .inside
    }
}

/// A signed JSON web token in its compact form (RFC 7519, RFC 7515 §3.1): two JSON objects in Base64, which therefore
/// begin with `eyJ`, and a signature, parted by dots.
enum WebToken {
    static let begin = Array("eyJ".utf8)
    /// Characters of the header that are followed, and the least ones of header and payload that count.
    static let headerMax = 1_536
    static let segmentMin = 10

    static func match(_ view: Redactor.View, at index: Int) -> Redactor.Match {
        guard let isHere = view.hasPrefix(begin, at: index) else { return .open }
        guard isHere else { return .none }
        let end = view.run(of: .base64URL, from: index, max: headerMax)
        guard end - index < headerMax else { return .none }
        if view.isOpen(at: end) { return .open }
        guard end - index >= segmentMin, end < view.count, view[end] == UInt8(ascii: ".") else { return .none }
        guard let isPayload = view.hasPrefix(begin, at: end + 1) else { return .open }
        guard isPayload else { return .none }
        let payload = view.run(of: .base64URL, from: end + 1, max: segmentMin)
        guard payload - end - 1 == segmentMin else { return view.isOpen(at: payload) ? .open : .none }
        return .found(end: payload, rest: .token(dots: 1))
    }
}
