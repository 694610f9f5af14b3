/// One setting: its name, what it takes, what it means, and how it is read and shown.
public struct SettingsEntry: Sendable {
    /// When a changed value counts.
    public enum Effect: String, Sendable {
        /// At the next start.
        case restart
        /// At once, when the settings are read again.
        case live
    }

    /// The name in the file, such as `limits.bodyBytes`.
    public let path: String
    /// `whole number`, `text` or `choice`.
    public let type: String
    /// What a number counts, such as `seconds`; empty for what is no quantity.
    public let unit: String
    /// What is accepted, in words that end a sentence.
    public let allowed: String
    /// One sentence for the reference.
    public let summary: String
    public let effect: Effect
    /// Whether the value may hold a password, which is then never shown.
    public let isSecret: Bool
    /// The value in effect, with a password as `***`.
    public let show: @Sendable (Settings) -> JSONValue
    /// Takes a value, or tells that it is not among those allowed.
    let apply: @Sendable (inout Settings, SettingsInput) -> Bool

    /// The variable that sets it: `REEVE_LIMITS_BODY_BYTES` for `limits.bodyBytes`.
    public var environmentName: String { "REEVE_" + Self.snakeCase(path) }

    /// The group in the file: what stands before the first dot.
    public var group: String { String(path.prefix { $0 != "." }) }

    /// `bodyBytes` to `BODY_BYTES`; a run of capitals is one word, so `publicURL` gives `PUBLIC_URL`.
    static func snakeCase(_ path: String) -> String {
        var text = ""
        var wasLower = false
        for character in path {
            if character == "." {
                text += "_"
                wasLower = false
                continue
            }
            if character.isUppercase, wasLower { text += "_" }
            text += character.uppercased()
            wasLower = !character.isUppercase
        }
        return text
    }
}

/// A value as it was given, before its setting has judged it.
enum SettingsInput: Sendable {
    /// `isQuoted` where a file gave it in quotes, so that it is text whatever it looks like.
    case text(String, isQuoted: Bool)
    /// `key:` without a value, or `null`.
    case nothing
    /// A list or a mapping, named for the message.
    case collection(String)

    /// How a message repeats it.
    var words: String {
        switch self {
        case .text(let text, _): "\"\(text.prefix(100))\""
        case .nothing: "nothing"
        case .collection(let word): word
        }
    }

    var number: Int? {
        guard case .text(let text, isQuoted: false) = self else { return nil }
        let digits = text.filter { $0 != "_" }
        guard text.first?.isNumber == true || text.first == "-" else { return nil }
        return Int(digits)
    }

    var string: String? {
        guard case .text(let text, _) = self else { return nil }
        return text
    }
}

extension SettingsEntry {
    static func int(
        _ path: String, _ field: any WritableKeyPath<Settings, Int> & Sendable, _ range: ClosedRange<Int>,
        _ unit: String, _ summary: String, effect: Effect = .restart
    ) -> SettingsEntry {
        SettingsEntry(
            path: path, type: "whole number", unit: unit,
            allowed: "a whole number from \(range.lowerBound) to \(range.upperBound)", summary: summary,
            effect: effect, isSecret: false,
            show: { .int(Int64($0[keyPath: field])) },
            apply: { settings, input in
                guard let value = input.number, range.contains(value) else { return false }
                settings[keyPath: field] = value
                return true
            })
    }

    static func flag(
        _ path: String, _ field: any WritableKeyPath<Settings, Bool> & Sendable, _ summary: String,
        effect: Effect = .restart
    ) -> SettingsEntry {
        SettingsEntry(
            path: path, type: "switch", unit: "", allowed: "true or false", summary: summary, effect: effect,
            isSecret: false,
            show: { .bool($0[keyPath: field]) },
            apply: { settings, input in
                guard let value = input.string.flatMap(Bool.init) else { return false }
                settings[keyPath: field] = value
                return true
            })
    }

    static func text(
        _ path: String, _ field: any WritableKeyPath<Settings, String> & Sendable, _ summary: String,
        effect: Effect = .restart
    ) -> SettingsEntry {
        SettingsEntry(
            path: path, type: "text", unit: "", allowed: "a text that is not empty", summary: summary, effect: effect,
            isSecret: false,
            show: { .string($0[keyPath: field]) },
            apply: { settings, input in
                guard let value = input.string, !value.isEmpty, !value.contains("\0") else { return false }
                settings[keyPath: field] = value
                return true
            })
    }

    /// A text that may be absent: nothing, or an empty text, leaves it so.
    static func optionalText(
        _ path: String, _ field: any WritableKeyPath<Settings, String?> & Sendable, _ summary: String,
        effect: Effect = .restart
    ) -> SettingsEntry {
        SettingsEntry(
            path: path, type: "text", unit: "", allowed: "a text, or nothing", summary: summary, effect: effect,
            isSecret: false, show: { .of($0[keyPath: field]) },
            apply: { settings, input in
                if case .collection = input { return false }
                let value = input.string.flatMap { $0.isEmpty ? nil : $0 }
                guard value?.contains("\0") != true else { return false }
                settings[keyPath: field] = value
                return true
            })
    }

    /// The path of a file that may be absent: nothing, or an empty text, leaves it so.
    static func file(
        _ path: String, _ field: any WritableKeyPath<Settings, String?> & Sendable, _ summary: String,
        effect: Effect = .restart
    ) -> SettingsEntry {
        SettingsEntry(
            path: path, type: "text", unit: "", allowed: "the path of a file, or nothing", summary: summary,
            effect: effect, isSecret: false,
            show: { .of($0[keyPath: field]) },
            apply: { settings, input in
                if case .collection = input { return false }
                guard let value = input.string, !value.isEmpty else {
                    settings[keyPath: field] = nil
                    return true
                }
                guard !value.contains("\0") else { return false }
                settings[keyPath: field] = value
                return true
            })
    }

    /// A shell command that may be absent. It is never shown, as it may hold a token.
    static func command(
        _ path: String, _ field: any WritableKeyPath<Settings, String?> & Sendable, _ summary: String
    ) -> SettingsEntry {
        SettingsEntry(
            path: path, type: "text", unit: "", allowed: "a shell command, or nothing", summary: summary,
            effect: .restart, isSecret: true,
            show: { $0[keyPath: field] == nil ? .null : "***" },
            apply: { settings, input in
                if case .collection = input { return false }
                let value = input.string.flatMap { $0.isEmpty ? nil : $0 }
                guard value?.contains("\0") != true else { return false }
                settings[keyPath: field] = value
                return true
            })
    }

    /// An address that may be absent: nothing, or an empty text, leaves it so.
    static func address(
        _ path: String, _ field: any WritableKeyPath<Settings, String?> & Sendable, schemes: [String],
        _ summary: String, isSecret: Bool = false, effect: Effect = .restart
    ) -> SettingsEntry {
        let words = schemes.map { "\($0)://" }
        return SettingsEntry(
            path: path, type: "text", unit: "",
            allowed: "an address that begins with \(words.joined(separator: " or ")), or nothing", summary: summary,
            effect: effect, isSecret: isSecret,
            show: { settings in
                guard let value = settings[keyPath: field] else { return .null }
                return .string(isSecret ? SettingsSecret.masked(value) : value)
            },
            apply: { settings, input in
                switch input {
                case .nothing, .text("", _): settings[keyPath: field] = nil
                case .collection: return false
                case .text(let value, _):
                    guard let word = words.first(where: value.hasPrefix), value.count > word.count else { return false }
                    guard !value.contains(where: { $0.isWhitespace || $0 == "\0" }) else { return false }
                    settings[keyPath: field] = value
                }
                return true
            })
    }

    static func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
        _ path: String, _ field: any WritableKeyPath<Settings, Choice> & Sendable, _ summary: String,
        effect: Effect = .restart
    ) -> SettingsEntry where Choice.RawValue == String {
        SettingsEntry(
            path: path, type: "choice", unit: "",
            allowed: "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "), summary: summary,
            effect: effect, isSecret: false,
            show: { .string($0[keyPath: field].rawValue) },
            apply: { settings, input in
                guard let value = input.string.flatMap(Choice.init(rawValue:)) else { return false }
                settings[keyPath: field] = value
                return true
            })
    }
}

/// Hides passwords in addresses.
enum SettingsSecret {
    /// The address with the password of its user part, and of a `password=` parameter, as `***`.
    ///
    /// Where the text is no address that this understands, all behind the scheme is hidden: too much is better than a
    /// password in a log.
    static func masked(_ address: String) -> String {
        guard let schemeEnd = address.range(of: "://") else { return "***" }
        let scheme = address[..<schemeEnd.upperBound]
        let (main, query) = splitOnce(String(address[schemeEnd.upperBound...]), at: "?")
        var text = String(scheme)
        if let at = main.lastIndex(of: "@") {
            let (user, password) = splitOnce(String(main[..<at]), at: ":")
            text += password == nil ? user : user + ":***"
            text += main[at...]
        } else {
            text += main
        }
        guard let query else { return text }
        let pairs = query.split(separator: "&", omittingEmptySubsequences: false).map { pair in
            let (name, value) = splitOnce(String(pair), at: "=")
            return value != nil && name.lowercased().contains("password") ? name + "=***" : String(pair)
        }
        return text + "?" + pairs.joined(separator: "&")
    }

    private static func splitOnce(_ text: String, at separator: Character) -> (String, String?) {
        guard let index = text.firstIndex(of: separator) else { return (text, nil) }
        return (String(text[..<index]), String(text[text.index(after: index)...]))
    }
}
