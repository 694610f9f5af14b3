import Kernel
import NIOCore
import Synchronization

/// An answer that other calls may get: the bytes that its caller got, and who gave it.
struct KeptAnswer: Sendable {
    let contentType: String
    let body: ByteBuffer
    let isStreamed: Bool
    /// What the target's dialect did not have.
    let dropped: DroppedFields
    /// `provider/model`.
    let target: String
    /// What it cost; `nil` where nobody knows.
    let cost: NanoDollars?
    let madeAt: Timestamp
}

/// The cache of one model, for all calls.
final class SharedAnswers: Sendable {
    private let cache: Mutex<AnswerCache>

    init(_ settings: CacheSettings) {
        cache = Mutex(AnswerCache(settings))
    }

    func find(_ key: String, at now: Timestamp) -> KeptAnswer? { cache.withLock { $0.find(key, at: now) } }
    func keep(_ answer: KeptAnswer, for key: String) { cache.withLock { $0.keep(answer, for: key) } }
}

/// Answers by the key of their call, of one model. Off unless the model's settings have a cache.
struct AnswerCache: Sendable {
    /// What an entry takes beside its answer.
    static let overheadBytes = 512

    let settings: CacheSettings
    private var entries: RecentTable<KeptAnswer?>
    private(set) var bytes = 0

    init(_ settings: CacheSettings) {
        self.settings = settings
        entries = RecentTable(capacity: settings.entries)
    }

    var count: Int { entries.count }

    /// The answer to a call of this key, where one is kept and not too old.
    mutating func find(_ key: String, at now: Timestamp) -> KeptAnswer? {
        guard let kept = entries.peek(key) ?? nil else { return nil }
        // A clock that was set back makes nothing young again.
        guard now >= kept.madeAt, now - kept.madeAt < settings.lifetime else {
            remove(key)
            return nil
        }
        entries.update(key, orMake: { nil }) { _ in }
        return kept
    }

    /// Keeps an answer; those that were not asked for longest make room. One that is larger than the whole is not kept.
    mutating func keep(_ answer: KeptAnswer, for key: String) {
        remove(key)
        let size = Self.size(answer)
        guard size <= settings.bytes else { return }
        while bytes + size > settings.bytes || entries.count >= settings.entries, let gone = entries.removeOldest() {
            bytes -= gone.map(Self.size) ?? 0
        }
        bytes += size
        entries.update(key, orMake: { nil }) { $0 = answer }
    }

    private mutating func remove(_ key: String) {
        guard let kept = entries.peek(key) else { return }
        bytes -= kept.map(Self.size) ?? 0
        entries.remove(key)
    }

    private static func size(_ answer: KeptAnswer) -> Int { answer.body.readableBytes + overheadBytes }
}
