import Kernel
import Synchronization

/// Answers by what was asked, of one model. Only those of the same group are compared: the same tenant, model, tools,
/// system prompt and conversation, with another last question.
struct SemanticCache: Sendable {
    private struct Entry: Sendable {
        let group: String
        let vector: SemanticVector
        let answer: KeptAnswer

        var bytes: Int { answer.body.readableBytes + vector.numbers.count * 4 + AnswerCache.overheadBytes }
    }

    private let settings: SemanticSettings
    private let lifetime: Span
    private let bytesMax: Int
    /// The oldest first.
    private var entries: [Entry] = []
    private(set) var bytes = 0

    init(_ settings: SemanticSettings, _ cache: CacheSettings) {
        self.settings = settings
        lifetime = cache.lifetime
        bytesMax = cache.bytes
    }

    var count: Int { entries.count }

    /// The answer to the question that is nearest, where it is near enough, and how near that is.
    mutating func find(
        _ group: String, _ vector: SemanticVector, at now: Timestamp
    ) -> (answer: KeptAnswer, similarity: Double)? {
        let lifetime = lifetime
        removeAll { !(now >= $0.answer.madeAt && now - $0.answer.madeAt < lifetime) }
        var best: (answer: KeptAnswer, similarity: Double)?
        for entry in entries where entry.group == group {
            guard let similarity = entry.vector.cosine(vector), similarity >= settings.similarity,
                similarity > best?.similarity ?? -1
            else { continue }
            best = (entry.answer, similarity)
        }
        return best
    }

    /// Keeps an answer; the oldest make room.
    mutating func keep(_ answer: KeptAnswer, _ group: String, _ vector: SemanticVector) {
        let entry = Entry(group: group, vector: vector, answer: answer)
        guard entry.bytes <= bytesMax else { return }
        removeAll { $0.group == group && $0.vector == vector }
        var gone = 0
        while gone < entries.count, entries.count - gone >= settings.entries || bytes + entry.bytes > bytesMax {
            bytes -= entries[gone].bytes
            gone += 1
        }
        entries.removeFirst(gone)
        entries.append(entry)
        bytes += entry.bytes
    }

    private mutating func removeAll(where isGone: (Entry) -> Bool) {
        guard entries.contains(where: isGone) else { return }
        entries.removeAll(where: isGone)
        bytes = entries.reduce(0) { $0 + $1.bytes }
    }
}

/// The semantic cache of one model, for all calls.
final class SemanticAnswers: Sendable {
    let settings: SemanticSettings
    private let cache: Mutex<SemanticCache>

    init?(_ settings: CacheSettings) {
        guard let semantic = settings.semantic else { return nil }
        self.settings = semantic
        cache = Mutex(SemanticCache(semantic, settings))
    }

    func find(
        _ group: String, _ vector: SemanticVector, at now: Timestamp
    ) -> (answer: KeptAnswer, similarity: Double)? {
        cache.withLock { $0.find(group, vector, at: now) }
    }

    func keep(_ answer: KeptAnswer, _ group: String, _ vector: SemanticVector) {
        cache.withLock { $0.keep(answer, group, vector) }
    }
}
