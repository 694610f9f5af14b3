/// Whether a provider's model name stands for one version for good.
public enum PinnedModel {
    /// A name is pinned where it ends in a date of the Gregorian calendar from 2020 to 2099, written `2024-07-18` or
    /// `20240718`, behind one of `-`, `@`, `:`, `_`. Years without a day (`-2411`), days without a year (`-0613`) and
    /// whatever follows a date (`-v1:0`, `-preview`) make no pin, as nothing says that they are never moved.
    public static func isPinned(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        return date(bytes, length: 10, digitsAt: [0, 1, 2, 3, 5, 6, 8, 9], dashesAt: [4, 7])
            || date(bytes, length: 8, digitsAt: Array(0..<8), dashesAt: [])
    }

    private static func date(_ name: [UInt8], length: Int, digitsAt: [Int], dashesAt: [Int]) -> Bool {
        // At least one character of a name, the separator, the date.
        guard name.count >= length + 2 else { return false }
        let separator = name[name.count - length - 1]
        guard "-@:_".utf8.contains(separator) else { return false }
        let tail = Array(name.suffix(length))
        guard dashesAt.allSatisfy({ tail[$0] == UInt8(ascii: "-") }) else { return false }
        let digits = digitsAt.map { Int64(tail[$0]) - 48 }
        guard digits.allSatisfy({ (0...9).contains($0) }) else { return false }
        let year = digits[0..<4].reduce(0) { $0 * 10 + $1 }
        let month = digits[4..<6].reduce(0) { $0 * 10 + $1 }
        let day = digits[6..<8].reduce(0) { $0 * 10 + $1 }
        guard (2020...2099).contains(year), (1...12).contains(month) else { return false }
        return (1...Timestamp.daysIn(month, of: year)).contains(day)
    }
}
