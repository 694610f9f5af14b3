import Foundation

/// Takes out of an answer what a receiver's address, headers and keys have in them: some answer with what they were
/// sent, and an address such as Slack's lets anybody who reads it post there.
struct ReceiverRedaction: Sendable {
    /// Parts of an address that are shorter are words such as `api` or `v2`.
    static let partMin = 4
    /// The beginning of a secret at the end of an answer, where the rest was cut off.
    static let beginningMin = 4
    private static let sign = "…"

    /// The longest first, so that no part of one is left of another.
    private let words: [String]

    /// - Parameters:
    ///   - secrets: Taken out whole, and as Base64.
    ///   - addresses: Taken out with their paths, queries, and the parts of both.
    ///   - isHostSecret: Whether the address does not stand in the settings, not even its host.
    init(secrets: [String], addresses: [String], isHostSecret: Bool) {
        var words = Set(secrets)
        for secret in secrets { words.insert(Data(secret.utf8).base64EncodedString()) }
        for address in addresses { words.formUnion(Self.parts(of: address, isHostSecret: isHostSecret)) }
        words.remove("")
        self.words = words.sorted { ($0.count, $0) > ($1.count, $1) }
    }

    private static func parts(of address: String, isHostSecret: Bool) -> [String] {
        guard let parts = URLComponents(string: address) else { return [address] }
        var words = [parts.percentEncodedPath, parts.percentEncodedQuery ?? ""]
        words += parts.percentEncodedPath.split(separator: "/").map(String.init)
        words += parts.percentEncodedQueryItems?.compactMap(\.value) ?? []
        // As a server may have read them, too.
        words += words.compactMap(\.removingPercentEncoding)
        words = words.filter { $0.count >= partMin }
        return words + [address] + (isHostSecret ? [parts.host ?? ""] : [])
    }

    func callAsFunction(_ text: String) -> String {
        var text = text
        for word in words {
            text = text.replacingOccurrences(of: word, with: Self.sign, options: .caseInsensitive)
        }
        for word in words {
            let beginnings = word.indices.dropFirst(Self.beginningMin).reversed().map { word[..<$0] }
            if let beginning = beginnings.first(where: text.hasSuffix) {
                text = text.dropLast(beginning.count) + Self.sign
            }
        }
        return text
    }
}
