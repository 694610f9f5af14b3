import Foundation
import Kernel

/// Signs webhooks, so that a receiver knows whose they are and when they were sent (Standard Webhooks 1.0.0,
/// "Signature scheme": HMAC-SHA-256 over id, timestamp and body, in base64).
enum WebhookSignature {
    /// The headers of a body; `nil` where the secret is no base64 of 24 to 64 bytes, with or without `whsec_`.
    static func headers(
        id: String, body: [UInt8], secret: String, now: Timestamp
    ) -> [(name: String, value: String)]? {
        let encoded = secret.hasPrefix("whsec_") ? String(secret.dropFirst("whsec_".count)) : secret
        guard let key = Data(base64Encoded: encoded), (24...64).contains(key.count) else { return nil }
        let seconds = now.microseconds / 1_000_000
        let signed = "\(id).\(seconds).\(String(decoding: body, as: UTF8.self))"
        guard let code = Hexadecimal.decode(Digest.keyed(signed, key: Array(key))) else { return nil }
        return [
            ("webhook-id", id), ("webhook-timestamp", "\(seconds)"),
            ("webhook-signature", "v1,\(Data(code).base64EncodedString())"),
        ]
    }
}
