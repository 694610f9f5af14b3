/// Which addresses of the network are nobody else's business: a receiver that names one could make Reeve ask its own
/// machine, its neighbours or a cloud's metadata for somebody.
public enum NetworkAddress {
    private struct Range {
        let prefix: [UInt8]
        let bits: Int

        init(_ prefix: [UInt8], _ bits: Int) {
            self.prefix = prefix
            self.bits = bits
        }

        func contains(_ address: [UInt8]) -> Bool {
            for (index, byte) in prefix.enumerated() {
                let left = bits - index * 8
                guard left > 0 else { return true }
                let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(left))
                if address[index] & mask != byte & mask { return false }
            }
            return true
        }
    }

    /// IANA's registry of special purposes for IPv4 (RFC 6890 and later), multicast and what is reserved.
    private static let ranges4 = [
        Range([0], 8), Range([10], 8), Range([100, 64], 10), Range([127], 8), Range([169, 254], 16),
        Range([172, 16], 12), Range([192, 0, 0], 24), Range([192, 0, 2], 24), Range([192, 88, 99], 24),
        Range([192, 168], 16), Range([198, 18], 15), Range([198, 51, 100], 24), Range([203, 0, 113], 24),
        Range([224], 4), Range([240], 4),
    ]

    /// The same for IPv6: what is not global, and what leads to an IPv4 address by another way (Teredo, 6to4).
    private static let ranges6 = [
        Range([0x00, 0x64, 0xFF, 0x9B, 0x00, 0x01], 48), Range([0x01, 0, 0, 0, 0, 0, 0, 0], 64),
        Range([0x20, 0x01, 0x00], 23), Range([0x20, 0x01, 0x0D, 0xB8], 32), Range([0x20, 0x02], 16),
        Range([0x3F, 0xFF, 0x00], 20), Range([0x5F, 0x00], 16), Range([0xFC], 7), Range([0xFE, 0x80], 10),
        Range([0xFE, 0xC0], 10), Range([0xFF], 8),
    ]

    private static let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
    private static let translated: [UInt8] = [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]

    /// Whether an address of 4 or 16 bytes, in the network's order, is not a public host's. Of any other length it is
    /// taken as not public.
    public static func isPrivate(_ address: [UInt8]) -> Bool {
        if address.count == 4 { return ranges4.contains { $0.contains(address) } }
        guard address.count == 16 else { return true }
        // IPv4 within IPv6: mapped (RFC 4291 §2.5.5.2), translated (RFC 6052), and the form before them.
        if address.starts(with: mapped) || address.starts(with: translated) {
            return isPrivate(Array(address[12...]))
        }
        if address.prefix(12).allSatisfy({ $0 == 0 }) { return true }
        return ranges6.contains { $0.contains(address) }
    }
}
