/// Entity tags (RFC 9110 §8.8.3), which keep two people from overwriting each other's edits.
public enum EntityTag {
    /// Throws `precondition_failed` where `If-Match` came and does not name this tag (RFC 9110 §13.1.1).
    ///
    /// - Parameter noun: what was edited, as in "the agent \"writer\"".
    public static func check(_ ifMatch: String?, against tag: String, of noun: String) throws {
        guard let ifMatch else { return }
        let tags = ifMatch.split(separator: ",").map { $0.split(separator: " ").joined() }
        guard tags.contains("*") || tags.contains(tag) else {
            throw Problem(
                .preconditionFailed, "\(noun.prefix(1).uppercased())\(noun.dropFirst()) has changed since it was read.",
                hint: "Read it again, and send its new ETag as If-Match.")
        }
    }

    /// Whether `If-None-Match` names this tag (RFC 9110 §13.1.2), which compares weakly.
    public static func isNamed(_ tag: String, by ifNoneMatch: String?) -> Bool {
        guard let ifNoneMatch else { return false }
        return ifNoneMatch.split(separator: ",").contains { part in
            let named = part.split(separator: " ").joined()
            return named == "*" || named == tag || named == "W/\(tag)"
        }
    }
}
