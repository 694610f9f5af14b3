/// Data about people that may be taken out of texts. Each has a checksum or a narrow shape, as a pattern that is too
/// wide destroys the very answers it is to protect.
public enum PersonalData: String, Sendable, CaseIterable {
    /// An address with a name of RFC 5321's plain form, in ASCII.
    case email
    /// A payment card: ISO/IEC 7812, its issuer's range and length, and the Luhn digit.
    case card
    /// ISO 13616: a country's length, and the remainder 1 modulo 97.
    case iban
    /// E.164 with its `+`, or the North American form with its separators.
    case phone

    private static let local = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "._%+-")
    private static let localStart = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "_")
    private static let localBefore = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "_%+-")
    private static let host = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: ".-")
    static let localMax = 64
    static let hostMax = 253

    func begins(with byte: UInt8) -> Bool {
        switch self {
        case .email: Self.localStart.contains(byte)
        case .card: (50...54).contains(byte)
        case .iban: ByteSet.upper.contains(byte)
        case .phone: byte == UInt8(ascii: "+") || byte == UInt8(ascii: "(") || ByteSet.digits.contains(byte)
        }
    }

    func match(_ view: Redactor.View, at index: Int, after previous: UInt8) -> Redactor.Match {
        switch self {
        case .email: Self.localBefore.contains(previous) ? .none : Self.email(view, index)
        case .card: ByteSet.alphanumeric.contains(previous) ? .none : Self.card(view, index)
        case .iban: ByteSet.alphanumeric.contains(previous) ? .none : Self.iban(view, index)
        case .phone: Self.phoneBefore.contains(previous) ? .none : Self.phone(view, index)
        }
    }

    // MARK: E-mail

    private static func email(_ view: Redactor.View, _ index: Int) -> Redactor.Match {
        let at = view.run(of: local, from: index, max: localMax + 1)
        guard at - index <= localMax else { return .none }
        if view.isOpen(at: at) { return .open }
        guard at < view.count, view[at] == UInt8(ascii: "@") else { return .none }
        let end = view.run(of: host, from: at + 1, max: hostMax + 1)
        guard end - at - 1 <= hostMax else { return .none }
        if view.isOpen(at: end) { return .open }
        var labels = 0
        var best: Int?
        var start = at + 1
        while start < end {
            let stop = view.bytes[start..<end].firstIndex(of: UInt8(ascii: ".")) ?? end
            guard (1...63).contains(stop - start), view[start] != 45, view[stop - 1] != 45 else { break }
            labels += 1
            let isName = stop - start >= 2 && view.bytes[start..<stop].allSatisfy(ByteSet.letters.contains)
            if labels >= 2, isName { best = stop }
            start = stop + 1
        }
        return best.map { .found(end: $0, rest: .nothing) } ?? .none
    }

    // MARK: Cards

    private static let cardDigitsMax = 19

    private static func card(_ view: Redactor.View, _ index: Int) -> Redactor.Match {
        var digits: [UInt8] = []
        var groups: [Int] = []
        var best: Int?
        var place = index
        while true {
            let end = view.run(of: .digits, from: place, max: cardDigitsMax + 1 - digits.count)
            digits += view.bytes[place..<end].map { $0 - 48 }
            guard digits.count <= cardDigitsMax, end > place else { break }
            if view.isOpen(at: end) { return .open }
            groups.append(end - place)
            let isWord = end < view.count && ByteSet.letters.contains(view[end])
            if !isWord, isCard(digits), isGrouped(groups) { best = end }
            guard end < view.count, view[end] == 0x20 || view[end] == 45, groups.count < 5 else { break }
            if view.isOpen(at: end + 1) { return .open }
            place = end + 1
        }
        return best.map { .found(end: $0, rest: .nothing) } ?? .none
    }

    /// As cards print them; a row of small numbers is no card.
    private static func isGrouped(_ groups: [Int]) -> Bool {
        if groups.count == 1 || groups == [4, 6, 5] || groups == [4, 6, 4] { return true }
        return groups.count >= 4 && groups.dropLast().allSatisfy { $0 == 4 }
            && (1...4).contains(groups[groups.count - 1])
    }

    /// Whether the digits are an issuer's, in their number too, and the last one checks the others.
    static func isCard(_ digits: [UInt8]) -> Bool {
        guard (13...cardDigitsMax).contains(digits.count) else { return false }
        let head = digits.prefix(4).reduce(0) { $0 * 10 + Int($1) }
        let isIssued =
            switch head {
            case 4_000...4_999: [13, 16, 19].contains(digits.count)
            case 5_100...5_599, 2_221...2_720: digits.count == 16
            case 3_400...3_499, 3_700...3_799: digits.count == 15
            case 3_000...3_059, 3_600...3_699, 3_800...3_999: (14...19).contains(digits.count)
            case 3_528...3_589: (16...19).contains(digits.count)
            case 6_000...6_999: (16...19).contains(digits.count)
            default: false
            }
        guard isIssued else { return false }
        let sum = digits.reversed().enumerated().reduce(0) { sum, entry in
            let doubled = Int(entry.element) * (entry.offset % 2 == 1 ? 2 : 1)
            return sum + (doubled > 9 ? doubled - 9 : doubled)
        }
        return sum % 10 == 0
    }

    // MARK: IBAN

    /// Lengths by country, from the IBAN registry of ISO 13616's registration authority.
    private static let ibanLengths: [String: Int] = [
        "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
        "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
        "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
        "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
        "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
        "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
        "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
        "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
        "YE": 30,
    ]
    private static let ibanMax = 34

    private static func iban(_ view: Redactor.View, _ index: Int) -> Redactor.Match {
        var letters: [UInt8] = []
        var place = index
        var length = ibanMax
        while letters.count < length {
            if view.isOpen(at: place) { return .open }
            guard place < view.count else { return .none }
            let byte = view[place]
            if byte == 0x20, letters.count >= 4, letters.count % 4 == 0, view[place - 1] != 0x20 {
                place += 1
                continue
            }
            let set: ByteSet = letters.count < 2 ? .upper : letters.count < 4 ? .digits : .upperAlphanumeric
            guard set.contains(byte) else { return .none }
            letters.append(byte)
            place += 1
            if letters.count == 2 {
                guard let known = ibanLengths[String(decoding: letters, as: UTF8.self)] else { return .none }
                length = known
            }
        }
        if view.isOpen(at: place) { return .open }
        if place < view.count, ByteSet.alphanumeric.contains(view[place]) { return .none }
        return isIBAN(letters) ? .found(end: place, rest: .nothing) : .none
    }

    /// ISO 7064 MOD 97-10 over the text with its first four characters at the end, and letters as 10 to 35.
    static func isIBAN(_ letters: [UInt8]) -> Bool {
        guard letters.count > 4 else { return false }
        var remainder = 0
        for byte in letters[4...] + letters[..<4] {
            let value = Int(byte) - (byte < 65 ? 48 : 55)
            remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
        }
        return remainder == 1
    }

    // MARK: Telephone

    private static let phoneBefore = ByteSet("0"..."9", "A"..."Z", "a"..."z", and: "_.-/+")
    private static let phoneGap = ByteSet(and: " -.()/")
    private static let phoneDigits = 8...15
    private static let americanForms = ["ddd-ddd-dddd", "ddd.ddd.dddd", "(ddd) ddd-dddd", "(ddd)ddd-dddd"].map {
        Array($0.utf8)
    }

    private static func phone(_ view: Redactor.View, _ index: Int) -> Redactor.Match {
        view[index] == UInt8(ascii: "+") ? international(view, index) : american(view, index)
    }

    private static func international(_ view: Redactor.View, _ index: Int) -> Redactor.Match {
        var digits = 0
        var gaps = 0
        var end = index
        var place = index + 1
        while true {
            if view.isOpen(at: place) { return .open }
            guard place < view.count else { break }
            let byte = view[place]
            if ByteSet.digits.contains(byte) {
                digits += 1
                gaps = 0
                end = place + 1
                guard digits <= phoneDigits.upperBound else { return .none }
            } else {
                gaps += 1
                guard phoneGap.contains(byte), digits > 0, gaps <= 2 else { break }
            }
            place += 1
        }
        let isWord = end < view.count && ByteSet.letters.contains(view[end])
        return phoneDigits.contains(digits) && !isWord ? .found(end: end, rest: .nothing) : .none
    }

    private static func american(_ view: Redactor.View, _ index: Int) -> Redactor.Match {
        var isOpen = false
        for form in americanForms {
            var place = index
            var isSame = true
            for character in form {
                guard place < view.count else { break }
                let isDigit = ByteSet.digits.contains(view[place])
                guard character == UInt8(ascii: "d") ? isDigit : view[place] == character else {
                    isSame = false
                    break
                }
                place += 1
            }
            guard isSame else { continue }
            // The byte behind decides whether it is a longer number.
            if view.isOpen(at: place) {
                isOpen = true
            } else if place - index == form.count {
                let isLonger = place < view.count && (ByteSet.alphanumeric.contains(view[place]) || view[place] == 45)
                if !isLonger { return .found(end: place, rest: .nothing) }
            }
        }
        return isOpen ? .open : .none
    }
}
