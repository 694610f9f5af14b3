import Foundation

/// Base64 (RFC 4648 §4) of UTF-8 text.
enum Base64 {
    static func decode(_ text: String) -> String? {
        Data(base64Encoded: text).flatMap { String(validating: $0, as: UTF8.self) }
    }
}
