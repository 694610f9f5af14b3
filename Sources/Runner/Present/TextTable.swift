/// Rows of cells as aligned text for a terminal or a pipe.
public struct TextTable: Sendable {
    public let columns: [String]
    public let rows: [[String]]

    public init(_ columns: [String], _ rows: [[String]]) {
        self.columns = columns
        self.rows = rows.map { $0.map(Terminal.printable) }
    }

    /// Two blanks between columns, none at the end of a line; at most `width` places a line where that is given.
    public func lines(width: Int? = nil) -> [String] {
        let all = [columns] + rows
        let widths = columns.indices.map { column in
            all.map { column < $0.count ? TextWidth.of($0[column]) : 0 }.max() ?? 0
        }
        return all.map { row in
            var line = ""
            for (column, cell) in row.enumerated() where column < widths.count {
                line += cell
                if column < row.count - 1 {
                    line += String(repeating: " ", count: widths[column] - TextWidth.of(cell) + 2)
                }
            }
            while line.last == " " { line.removeLast() }
            return width.map { TextWidth.cut(line, to: $0) } ?? line
        }
    }

    public func text(width: Int? = nil) -> String { lines(width: width).joined(separator: "\n") }
}

/// How many places a text takes on a terminal.
public enum TextWidth {
    public static func of(_ text: String) -> Int {
        text.reduce(0) { $0 + of($1) }
    }

    /// East Asian wide characters and emoji take two places (Unicode Standard Annex #11, the common ranges).
    private static func of(_ character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first?.value else { return 0 }
        switch scalar {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60,
            0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }

    /// The text, or as much of it as fits in `width` places with `…` at the end.
    public static func cut(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        guard width > 1 else { return width == 1 ? "…" : "" }
        var result = ""
        var places = 0
        for character in text {
            let next = of(character)
            if places + next > width - 1 { break }
            places += next
            result.append(character)
        }
        return result + "…"
    }
}
