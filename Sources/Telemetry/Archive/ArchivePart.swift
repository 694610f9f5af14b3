import Kernel

/// What one file of the archive is for: a category's records that arrived on a day. To forget them is to delete it.
///
/// The day is that of their arrival, as senders may say of a span that it happened at any time.
struct ArchivePart: Sendable, Hashable, Comparable {
    /// What the file's blocks are of.
    enum Kind: String, Sendable, CaseIterable {
        case spans, logs
    }

    /// How its records came to be kept.
    enum Tier: String, Sendable {
        /// As their category says.
        case ordinary
        /// For longer: what was carried over from the ordinary file of the same day; see ``RetentionKeeper``.
        case kept
    }

    let kind: Kind
    let category: TelemetryCategory
    /// Days since 1970, UTC.
    let day: Int
    var tier = Tier.ordinary

    private static let microsecondsPerDay: Int64 = 86_400_000_000

    init(_ kind: Kind, _ category: TelemetryCategory, day: Int) {
        self.kind = kind
        self.category = category
        self.day = day
    }

    init(_ kind: Kind, _ category: TelemetryCategory, at arrival: Timestamp) {
        self.init(kind, category, day: Self.day(of: arrival))
    }

    static func day(of time: Timestamp) -> Int { Int(max(0, time.microseconds) / microsecondsPerDay) }

    /// From a file's name.
    init?(fileName: String) {
        guard fileName.hasSuffix(".db") else { return nil }
        var words = fileName.dropLast(3).split(separator: "-")
        let isKept = words.last.map(String.init) == Tier.kept.rawValue
        if isKept { words.removeLast() }
        guard words.count == 2 || words.count == 3, let category = TelemetryCategory(rawValue: String(words[0])),
            let day = Int(words[1]), let kind = words.count == 2 ? .spans : Kind(rawValue: String(words[2]))
        else { return nil }
        self.init(kind, category, day: day)
        if isKept { tier = .kept }
    }

    /// The part of the same records in another tier.
    func `in`(_ tier: Tier) -> ArchivePart {
        var part = self
        part.tier = tier
        return part
    }

    var fileName: String {
        let tail = (kind == .spans ? "" : "-\(kind.rawValue)") + (tier == .kept ? "-\(tier.rawValue)" : "")
        return "\(category.rawValue)-\(day)\(tail).db"
    }

    /// The newest first.
    static func < (left: ArchivePart, right: ArchivePart) -> Bool {
        (-left.day, left.fileName) < (-right.day, right.fileName)
    }
}

/// What records are found by, as a number: a block has many records, so the few that share a number with others are
/// told apart when it is read. Mixed with a secret of the folder, or ids could be chosen that all share one.
struct ArchiveKey: Sendable {
    static let secretBytes = 16

    private let secret: (UInt64, UInt64)
    private let secretBytes: [UInt8]

    init(secret: [UInt8]) {
        let words = stride(from: 0, to: Self.secretBytes, by: 8).map { start in
            secret.dropFirst(start).prefix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        }
        self.secret = (words[0], words[1])
        secretBytes = secret
    }

    func trace(_ id: TraceID) -> Int64 {
        let product = (id.high ^ secret.0).multipliedFullWidth(by: id.low ^ secret.1)
        return Int64(bitPattern: product.high ^ product.low)
    }

    /// Of a piece of a body.
    func piece(_ bytes: UnsafeRawBufferPointer) -> PieceName {
        let words = Digest.words(bytes, key: secretBytes)
        return PieceName(high: words.high, low: words.low)
    }

    /// Names a text in what is kept about it, without telling it.
    func digest(_ text: String) -> String { Digest.keyed(text, key: secretBytes) }

    /// Of an id that is any text.
    func text(_ id: String) -> Int64 {
        Int64(bitPattern: Digest.word(secretBytes + id.utf8))
    }
}
