/// What a pattern says, before it is a program.
indirect enum PatternTree {
    case set(PatternSet)
    case start
    case end
    case wordBoundary(isNegated: Bool)
    case sequence([PatternTree])
    case choice([PatternTree])
    /// `max` is `nil` without an upper end. A lazy one prefers less, which tells in groups alone.
    case repetition(PatternTree, min: Int, max: Int?, isLazy: Bool)
    /// What is told of a match; the number 0 is the whole.
    case group(Int, PatternTree)
    case lookahead(PatternTree, isNegated: Bool)
}

extension PatternTree {
    /// The longest text that whatever matches has somewhere, with ASCII's letters as small ones; empty where there is
    /// none. Who looks for a pattern looks for this first.
    var literal: [UInt8] {
        var finder = LiteralFinder()
        finder.visit(self)
        return finder.longest
    }

    private struct LiteralFinder {
        private var run: [UInt8] = []
        private var best: [UInt8] = []

        var longest: [UInt8] { run.count > best.count ? run : best }

        mutating func visit(_ tree: PatternTree) {
            switch tree {
            case .set(let set):
                guard let byte = set.letter else { return end() }
                run.append(byte)
            // What takes no character parts nothing.
            case .start, .end, .wordBoundary, .lookahead: break
            case .sequence(let parts): for part in parts { visit(part) }
            case .group(_, let tree): visit(tree)
            case .repetition(let part, let min, _, _):
                end()
                guard min > 0 else { return }
                visit(part)
                end()
            case .choice: end()
            }
        }

        private mutating func end() {
            best = longest
            run = []
        }
    }
}
