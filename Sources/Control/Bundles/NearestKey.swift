/// The known key that somebody meant who misspelt it.
enum NearestKey {
    /// - Parameter strict: Whether only a likely slip counts; else the nearest is named even where it is farther off.
    static func of(_ key: String, among known: some Sequence<String>, strict: Bool = true) -> String? {
        let name = plain(key)
        var best: (key: String, steps: Int)?
        for candidate in known {
            let steps = distance(name, plain(candidate))
            if best.map({ steps < $0.steps }) ?? true { best = (candidate, steps) }
        }
        let reach = name.count < 5 ? (strict ? 0 : 1) : name.count < 7 && strict ? 1 : 2
        return best.flatMap { $0.steps <= reach ? $0.key : nil }
    }

    /// `max_tokens` and `maxTokens` are one key in two spellings.
    static func isSame(_ key: String, _ other: String) -> Bool { plain(key) == plain(other) }

    private static func plain(_ key: String) -> [UInt8] {
        Array(key.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }.prefix(60))
    }

    /// Letters added, left out, replaced or swapped with their neighbour (optimal string alignment).
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var before: [Int] = []
        var last = Array(0...right.count)
        for row in left.indices {
            var next = [row + 1]
            for column in right.indices {
                let isSame = left[row] == right[column]
                var steps = min(last[column + 1] + 1, next[column] + 1, last[column] + (isSame ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    steps = min(steps, before[column - 1] + 1)
                }
                next.append(steps)
            }
            (before, last) = (last, next)
        }
        return last[right.count]
    }
}
