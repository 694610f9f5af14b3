/// What of a request could not cross to another dialect, by JSON path.
struct DroppedFields: Sendable, Equatable {
    /// Paths that are kept; further ones are only counted.
    static let pathsMax = 50
    /// Characters of one path in a header.
    static let pathCharactersMax = 120

    private(set) var paths: [String] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func insert(_ path: String) {
        guard !paths.contains(path) else { return }
        count += 1
        if paths.count < Self.pathsMax { paths.append(path) }
    }

    mutating func insert(_ more: [String]) {
        for path in more { insert(path) }
    }

    /// For `x-reeve-dropped`: paths with commas between them. Names come from outside, so everything that could end
    /// the header or the item becomes `?`.
    var headerValue: String {
        let items = paths.map { path in
            String(
                path.unicodeScalars.prefix(Self.pathCharactersMax).map { scalar -> Character in
                    (0x21...0x7E).contains(scalar.value) && scalar != "," ? Character(scalar) : "?"
                })
        }
        return (items + (count > paths.count ? ["+\(count - paths.count)"] : [])).joined(separator: ", ")
    }

    /// Throws the refusal of a caller who wants all or nothing.
    func refuse() throws {
        guard let first = paths.first else { return }
        throw DialectError.unsupported(
            first, "'\(first.prefix(DialectError.paramCharactersMax))' cannot be translated for this model.")
    }
}
