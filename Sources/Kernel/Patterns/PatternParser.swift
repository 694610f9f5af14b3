/// Reads a pattern's characters one after the other: what the syntaxes of patterns have in common.
protocol PatternParser {
    var scalars: [Unicode.Scalar] { get }
    /// Of the character that comes next.
    var position: Int { get set }
    /// Groups that are open.
    var depth: Int { get set }

    /// Parts one after the other, up to a `|`, a `)`, or the end.
    mutating func sequence() throws -> PatternTree
}

extension PatternParser {
    var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    func failure(_ reason: String) -> BoundedPattern.Failure {
        BoundedPattern.Failure(reason: "\(reason), at character \(position + 1)")
    }

    /// Goes past `text` if that comes next.
    mutating func take(_ text: String) -> Bool {
        let wanted = text.unicodeScalars
        guard scalars[position...].starts(with: wanted) else { return false }
        position += wanted.count
        return true
    }

    /// Goes past all characters that are as said.
    mutating func take(while isMeant: (Unicode.Scalar) -> Bool) -> String {
        let taken = scalars[position...].prefix(while: isMeant)
        position += taken.count
        return String(String.UnicodeScalarView(taken))
    }

    mutating func whole() throws -> PatternTree {
        let tree = try choice()
        guard position == scalars.count else { throw failure("a ) without its (") }
        return tree
    }

    mutating func choice() throws -> PatternTree {
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    /// What stands in a group, up to its `)`, which is taken too.
    mutating func inside() throws -> PatternTree {
        guard depth < BoundedPattern.depthMax else { throw failure("too many groups within each other") }
        depth += 1
        defer { depth -= 1 }
        let tree = try choice()
        guard take(")") else { throw failure("a ( without its )") }
        return tree
    }
}
