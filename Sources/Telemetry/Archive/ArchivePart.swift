import Kernel

/// What one file of the archive is for: a category's records that arrived on a day. To forget them is to delete it.
///
/// The day is that of their arrival, as senders may say of a span that it happened at any time.
struct ArchivePart: Sendable, Hashable, Comparable {
    let category: TelemetryCategory
    /// Days since 1970, UTC.
    let day: Int

    private static let microsecondsPerDay: Int64 = 86_400_000_000

    init(category: TelemetryCategory, day: Int) {
        self.category = category
        self.day = day
    }

    init(_ category: TelemetryCategory, at arrival: Timestamp) {
        self.init(category: category, day: Self.day(of: arrival))
    }

    static func day(of time: Timestamp) -> Int { Int(max(0, time.microseconds) / microsecondsPerDay) }

    /// From a file's name.
    init?(fileName: String) {
        guard fileName.hasSuffix(".db") else { return nil }
        let words = fileName.dropLast(3).split(separator: "-")
        guard words.count == 2, let category = TelemetryCategory(rawValue: String(words[0])), let day = Int(words[1])
        else { return nil }
        self.init(category: category, day: day)
    }

    var fileName: String { "\(category.rawValue)-\(day).db" }

    /// The newest first.
    static func < (left: ArchivePart, right: ArchivePart) -> Bool {
        (-left.day, left.category.rawValue) < (-right.day, right.category.rawValue)
    }
}

/// What records are found by, as a number: a block has many records, so the few that share a number with others are
/// told apart when it is read.
enum ArchiveKey {
    static func trace(_ id: TraceID) -> Int64 { Int64(bitPattern: id.high ^ (id.low &* 0x9E37_79B9_7F4A_7C15)) }
}
