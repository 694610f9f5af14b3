/// The wire formats in which models are called.
///
/// Each has a reader and a writer to one canonical form (``ModelRequest``, ``ModelReply``, ``StreamEvent``), so that a
/// new dialect costs one of each rather than a pair for every other dialect.
enum Dialect: String, Sendable, CaseIterable {
    /// OpenAI API reference, Chat Completions.
    case chat
    /// OpenAI API reference, Responses.
    case responses
    /// Anthropic API reference, Messages.
    case messages

    /// Whether errors and models have OpenAI's shapes.
    var isOpenAI: Bool { self != .messages }

    /// What a reply's id begins with.
    var idPrefix: String {
        switch self {
        case .chat: "chatcmpl-"
        case .responses: "resp_"
        case .messages: "msg_"
        }
    }

    /// Characters of an id that crosses from one dialect to another.
    static let idCharactersMax = 200

    /// The id of the same reply in this dialect. What cannot stand in an id becomes `_`.
    func id(from id: String) -> String {
        let prefix = Self.allCases.map(\.idPrefix).first { id.hasPrefix($0) } ?? ""
        return idPrefix + Self.identifier(String(id.dropFirst(prefix.count)))
    }

    /// `text` with only what ids may consist of (`[A-Za-z0-9_-]`), not too long and not empty.
    static func identifier(_ text: String) -> String {
        let letters = text.unicodeScalars.prefix(idCharactersMax).map { scalar -> Character in
            let isPlain =
                ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
                || scalar == "_" || scalar == "-"
            return isPlain ? Character(scalar) : "_"
        }
        return letters.isEmpty ? "0" : String(letters)
    }
}
