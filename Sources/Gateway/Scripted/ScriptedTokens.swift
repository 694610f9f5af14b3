/// Tokens as the scripted model counts them: a word with the space before it is one, and a long word one for each
/// started run of ``longest`` characters. No real model counts so; it is exact, and anybody can count along.
enum ScriptedTokens {
    static let longest = 6

    /// The pieces that a text is streamed in; joined they are the text.
    static func pieces(of text: String) -> [String] {
        var pieces: [String] = []
        var piece = ""
        var letters = 0
        for character in text {
            let isSpace = character.isWhitespace
            if letters == longest || (isSpace && letters > 0) {
                pieces.append(piece)
                piece = ""
                letters = 0
            }
            piece.append(character)
            if !isSpace { letters += 1 }
        }
        if !piece.isEmpty { pieces.append(piece) }
        return pieces
    }

    static func count(_ text: String) -> Int { pieces(of: text).count }
}
