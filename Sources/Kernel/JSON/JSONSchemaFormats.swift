/// The formats that are asserted; each takes one pass over the text.
enum JSONSchemaFormat: String, Sendable, CaseIterable {
    case dateTime = "date-time"
    case date
    case time
    case email
    case hostname
    case ipv4
    case ipv6
    case uri
    case uriReference = "uri-reference"
    case uuid
    case jsonPointer = "json-pointer"

    func matches(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return switch self {
        case .dateTime: Self.isDateTime(bytes)
        case .date: Self.isDate(bytes[...])
        case .time: Self.isTime(bytes[...])
        case .email: Self.isEmail(bytes)
        case .hostname: Self.isHostname(bytes[...])
        case .ipv4: Self.isIPv4(bytes[...])
        case .ipv6: Self.isIPv6(bytes[...])
        case .uri: Self.isURI(bytes[...], isReference: false)
        case .uriReference: Self.isURI(bytes[...], isReference: true)
        case .uuid: Self.isUUID(bytes)
        case .jsonPointer: Self.isJSONPointer(bytes)
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
    private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte & 0xDF) }
    private static func isHex(_ byte: UInt8) -> Bool { isDigit(byte) || (65...70).contains(byte & 0xDF) }

    /// A number of exactly `width` digits at an offset.
    private static func number(_ bytes: ArraySlice<UInt8>, _ offset: Int, _ width: Int) -> Int64? {
        let start = bytes.startIndex + offset
        guard start + width <= bytes.endIndex, bytes[start..<start + width].allSatisfy(isDigit) else { return nil }
        return bytes[start..<start + width].reduce(0) { $0 * 10 + Int64($1 - 48) }
    }

    /// RFC 3339 §5.6 `full-date`.
    private static func isDate(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count == 10, bytes[bytes.startIndex + 4] == 45, bytes[bytes.startIndex + 7] == 45,
            let year = number(bytes, 0, 4), let month = number(bytes, 5, 2), let day = number(bytes, 8, 2)
        else { return false }
        return (1...12).contains(month) && (1...Timestamp.daysIn(month, of: year)).contains(day)
    }

    /// RFC 3339 §5.6 `full-time`. A leap second is the last one of a day in UTC.
    private static func isTime(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count >= 9, bytes[bytes.startIndex + 2] == 58, bytes[bytes.startIndex + 5] == 58,
            let hour = number(bytes, 0, 2), let minute = number(bytes, 3, 2), let second = number(bytes, 6, 2),
            hour < 24, minute < 60, second <= 60
        else { return false }
        var rest = bytes.dropFirst(8)
        if rest.first == 46 {
            let fraction = rest.dropFirst().prefix(while: isDigit)
            guard !fraction.isEmpty else { return false }
            rest = rest.dropFirst(1 + fraction.count)
        }
        guard let offset = zone(rest) else { return false }
        guard second == 60 else { return true }
        return ((hour * 60 + minute - offset) % 1_440 + 1_440) % 1_440 == 1_439
    }

    /// Minutes east of UTC.
    private static func zone(_ bytes: ArraySlice<UInt8>) -> Int64? {
        guard let first = bytes.first else { return nil }
        if first == 90 || first == 122 { return bytes.count == 1 ? 0 : nil }
        guard first == 43 || first == 45, bytes.count == 6, bytes[bytes.startIndex + 3] == 58,
            let hour = number(bytes, 1, 2), let minute = number(bytes, 4, 2), hour < 24, minute < 60
        else { return nil }
        return (first == 43 ? 1 : -1) * (hour * 60 + minute)
    }

    private static func isDateTime(_ bytes: [UInt8]) -> Bool {
        guard bytes.count > 11, bytes[10] | 0x20 == 116 else { return false }
        return isDate(bytes[..<10]) && isTime(bytes[11...])
    }

    /// RFC 5321 §4.1.2: a dot-atom or a quoted text, `@`, and a host or an address in brackets.
    private static func isEmail(_ bytes: [UInt8]) -> Bool {
        guard let at = bytes.lastIndex(of: 64) else { return false }
        let local = bytes[..<at]
        let host = bytes[(at + 1)...]
        let atoms = Set("!#$%&'*+-/=?^_`{|}~".utf8)
        let isQuoted = local.count >= 2 && local.first == 34 && local.last == 34
        if isQuoted {
            let inner = local.dropFirst().dropLast()
            guard inner.allSatisfy({ $0 != 34 && (32...126).contains($0) }) else { return false }
        } else {
            let parts = local.split(separator: 46, omittingEmptySubsequences: false)
            let isAtom = parts.allSatisfy { part in
                !part.isEmpty && part.allSatisfy { isDigit($0) || isLetter($0) || atoms.contains($0) }
            }
            guard isAtom else { return false }
        }
        if host.first == 91, host.last == 93 {
            let inner = host.dropFirst().dropLast()
            let prefix = Array("IPv6:".utf8)
            return inner.starts(with: prefix) ? isIPv6(inner.dropFirst(prefix.count)) : isIPv4(inner)
        }
        return isHostname(host)
    }

    /// RFC 1123 §2.1.
    private static func isHostname(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count <= 253 else { return false }
        return bytes.split(separator: 46, omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count) && label.first != 45 && label.last != 45
                && label.allSatisfy { isDigit($0) || isLetter($0) || $0 == 45 }
        }
    }

    private static func isIPv4(_ bytes: ArraySlice<UInt8>) -> Bool {
        let parts = bytes.split(separator: 46, omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.count) && part.allSatisfy(isDigit) && !(part.count > 1 && part.first == 48)
                    && part.reduce(0) { $0 * 10 + Int($1 - 48) } <= 255
            }
    }

    /// RFC 4291 §2.2.
    private static func isIPv6(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count <= 45 else { return false }
        var groups = bytes.split(separator: 58, omittingEmptySubsequences: false)
        guard groups.count >= 3 else { return false }
        var room = 8
        if let last = groups.last, last.contains(46) {
            guard isIPv4(last) else { return false }
            groups.removeLast()
            room = 6
        } else if groups.last?.isEmpty == true {
            // The text ends in `::`, or it is wrong.
            groups.removeLast()
            guard groups.last?.isEmpty == true else { return false }
        }
        if groups.first?.isEmpty == true {
            groups.removeFirst()
            guard groups.first?.isEmpty == true else { return false }
        }
        let empty = groups.count { $0.isEmpty }
        guard groups.allSatisfy({ $0.count <= 4 && $0.allSatisfy(isHex) }), empty <= 1 else { return false }
        return empty == 1 ? groups.count - 1 < room : groups.count == room
    }

    /// RFC 3986 appendix A.
    private static func isURI(_ bytes: ArraySlice<UInt8>, isReference: Bool) -> Bool {
        guard hasOnlyURICharacters(bytes) else { return false }
        var rest = bytes
        let scheme = rest.prefix { $0 != 58 && $0 != 47 && $0 != 63 && $0 != 35 }
        if rest.dropFirst(scheme.count).first == 58 {
            guard let first = scheme.first, isLetter(first),
                scheme.allSatisfy({ isLetter($0) || isDigit($0) || [43, 45, 46].contains($0) })
            else { return false }
            rest = rest.dropFirst(scheme.count + 1)
        } else if !isReference {
            return false
        }
        let parts = rest.split(separator: 35, maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count < 2 || !parts[1].contains(35), let main = parts.first else { return false }
        let hierarchy = main.prefix { $0 != 63 }
        guard !main.dropFirst(hierarchy.count).contains(where: { $0 == 91 || $0 == 93 }) else { return false }
        guard hierarchy.starts(with: [47, 47]) else { return !hierarchy.contains { $0 == 91 || $0 == 93 } }
        let authority = hierarchy.dropFirst(2).prefix { $0 != 47 }
        guard !hierarchy.dropFirst(2 + authority.count).contains(where: { $0 == 91 || $0 == 93 }) else { return false }
        return isAuthority(authority)
    }

    private static func isAuthority(_ bytes: ArraySlice<UInt8>) -> Bool {
        var host = bytes
        if let at = bytes.lastIndex(of: 64) {
            guard !bytes[..<at].contains(where: { $0 == 64 || $0 == 91 || $0 == 93 }) else { return false }
            host = bytes[(at + 1)...]
        }
        if host.first == 91 {
            guard let end = host.lastIndex(of: 93) else { return false }
            let rest = host[(end + 1)...]
            let inner = host[(host.startIndex + 1)..<end]
            return (isIPv6(inner) || inner.first.map { $0 | 0x20 } == 118) && (rest.isEmpty || isPort(rest))
        }
        guard !host.contains(91), !host.contains(93) else { return false }
        guard let colon = host.firstIndex(of: 58) else { return true }
        return isPort(host[colon...])
    }

    private static func isPort(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.first == 58 && bytes.dropFirst().allSatisfy(isDigit)
    }

    private static func hasOnlyURICharacters(_ bytes: ArraySlice<UInt8>) -> Bool {
        let marks = Set("-._~:/?#[]@!$&'()*+,;=".utf8)
        var rest = bytes
        while let byte = rest.popFirst() {
            if byte == 37 {
                guard rest.count >= 2, rest.prefix(2).allSatisfy(isHex) else { return false }
                rest = rest.dropFirst(2)
            } else if !isLetter(byte) && !isDigit(byte) && !marks.contains(byte) {
                return false
            }
        }
        return true
    }

    private static func isUUID(_ bytes: [UInt8]) -> Bool {
        bytes.count == 36
            && bytes.enumerated().allSatisfy { index, byte in
                [8, 13, 18, 23].contains(index) ? byte == 45 : isHex(byte)
            }
    }

    private static func isJSONPointer(_ bytes: [UInt8]) -> Bool {
        guard let first = bytes.first else { return true }
        guard first == 47 else { return false }
        return bytes.indices.allSatisfy { index in
            bytes[index] != 126 || (index + 1 < bytes.count && (bytes[index + 1] == 48 || bytes[index + 1] == 49))
        }
    }
}
